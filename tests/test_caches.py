"""What is kept between calls serves training too, whoever asked for it first.

A tensor that is made under `torch.inference_mode` may not be saved for a backward pass. Reconstruction and validation run under it, so that
whatever they leave in a cache would stop a training that comes after them in the same process.
"""

import importlib
import pkgutil
from collections.abc import Callable
from functools import cached_property
from typing import Any

import pytest
import torch

import ssrecon
from ssrecon.calibrate.espirit import noise_edge
from ssrecon.operators.encoding import Sense
from ssrecon.operators.fourier import alternating
from ssrecon.operators.wavelet import Wavelet, _level_matrix
from tests.laws.operators import random_like
from tests.scans import column_mask

CPU = torch.device("cpu")
TENSORS: dict[str, Callable[[], Any]] = {
    "ssrecon.operators.fourier.alternating": lambda: alternating((6, 10), torch.complex64, CPU),
    "ssrecon.operators.wavelet._level_matrix": lambda: _level_matrix(12, torch.float32, CPU),
    "ssrecon.calibrate.espirit.noise_edge": lambda: noise_edge((1, 2, 9, 9), 3),
}
"""The cached functions that compute with torch."""
PLAIN = {
    "ssrecon.partition.gaussian.log_pixel_mass",
    "ssrecon.partition.bernoulli._probability_in_lambda",
    "ssrecon.core.shapes",
    "ssrecon.metrics.hfen._log_profiles",
    "ssrecon.sampling.describe.mask._describe_packed",
    "ssrecon.store.freed_memory._malloc_trim",
    "ssrecon.privacy.pseudonyms",
    "ssrecon.archive",
}
"""Those that give NumPy arrays, names and files."""


def modules():
    for found in pkgutil.walk_packages(ssrecon.__path__, "ssrecon."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def test_every_cache_is_known_here():
    """Whoever adds a cache says in this file whether tensors are in it."""
    cached = {
        f"{module.__name__}.{name}"
        for module in modules()
        for name, value in vars(module).items()
        if hasattr(value, "cache_info") and value.__module__ == module.__name__
    }
    assert cached >= set(TENSORS)
    assert {name for name in cached - set(TENSORS) if not any(name.startswith(known) for known in PLAIN)} == set()


@pytest.mark.parametrize("name", sorted(TENSORS))
def test_tensors_that_are_kept_are_normal(name):
    module, _, function = name.rpartition(".")
    getattr(importlib.import_module(module), function).cache_clear()
    with torch.inference_mode():
        found = TENSORS[name]()
    tensors = found if isinstance(found, tuple) else (found,)
    assert not any(isinstance(tensor, torch.Tensor) and tensor.is_inference() for tensor in tensors)


def test_a_wavelet_that_reconstructed_first_trains():
    wavelet, image = Wavelet((20, 24), 2), random_like((1, 20, 24), 0)
    _level_matrix.cache_clear()
    with torch.inference_mode():
        wavelet.adjoint(wavelet(image))
    weight = torch.ones((), requires_grad=True)
    wavelet.adjoint((weight * wavelet(weight * image)).abs() * 1j).abs().sum().backward()
    assert weight.grad is not None


def test_an_operator_that_reconstructed_first_trains():
    """The same operator: it keeps signs and the layout of its gram as properties."""
    csm, mask, image = random_like((1, 1, 4, 10, 14), 0), column_mask((10, 14), 2, 2), random_like((1, 1, 1, 10, 14), 1)
    operator = Sense(mask, csm)
    with torch.inference_mode():
        operator.adjoint(operator(image))
        operator.gram(image)
    kept = [name for name, value in vars(type(operator)).items() if isinstance(value, cached_property)]
    assert sorted(kept) == ["_layout", "_signs"]
    layout = operator._layout
    assert not any(tensor.is_inference() for tensor in (layout.csm, layout.conj, layout.weights, *operator._signs))
    image.requires_grad_()
    (operator.gram(image).abs().sum() + (layout.csm * layout.to_gram_order(image, 3)).abs().sum()).backward()
    assert image.grad is not None
