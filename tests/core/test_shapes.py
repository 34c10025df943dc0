"""Public functions check what their annotations state, and say in one sentence what does not fit."""

import importlib
import inspect
import pickle
import pkgutil
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ssrecon.algorithms import conjugate_gradient
from ssrecon.calibrate import compression_matrix, espirit, mix_coils, noise_covariance
from ssrecon.core.errors import BadInput, BadShape
from ssrecon.core.shapes import annotated, checked
from ssrecon.metrics import heldout_residual
from ssrecon.operators import LinearOperator, sense
from ssrecon.sampling.lines import line_by_line

ROOMS = ("operators", "calibrate", "algorithms", "metrics", "partition", "sampling", "networks")


def modules():
    for room in ROOMS:
        package = importlib.import_module(f"ssrecon.{room}")
        for found in pkgutil.walk_packages(package.__path__, f"ssrecon.{room}."):
            yield importlib.import_module(found.name)


def public():
    """Functions of the rooms whose parameters say a shape, and the methods of operators."""
    for module in modules():
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
                continue
            if inspect.isfunction(thing) and annotated(thing):
                yield f"{module.__name__}.{name}", thing
            if inspect.isclass(thing) and issubclass(thing, LinearOperator):
                for method, function in vars(thing).items():
                    if inspect.isfunction(function) and method in ("__call__", "adjoint", "gram") and annotated(function):
                        yield f"{module.__name__}.{name}.{method}", function


def test_every_public_function_that_states_shapes_checks_them():
    found = dict(public())
    assert len(found) > 40 and "ssrecon.calibrate.espirit.espirit" in found
    assert not [name for name, function in found.items() if not hasattr(function, "checks_shapes")]


K = torch.zeros(1, 1, 4, 16, 20, dtype=torch.complex64)
MASK, CSM = torch.ones(1, 1, 1, 16, 20, dtype=torch.bool), torch.ones(1, 1, 4, 16, 20, dtype=torch.complex64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: espirit(K[0], (320, 320)),
            r"espirit: calibration_kspace: found shape \(1, 4, 16, 20\); expected 2 axes after batch, frames and coils",
        ),
        (
            lambda: espirit(K[0, 0, 0], (320, 320)),
            r"espirit: calibration_kspace: found shape \(16, 20\) of complex64; expected a tensor of complex values with",
        ),
        (lambda: espirit(K.real, (16, 20)), "calibration_kspace: found shape .* of float32; expected a tensor of complex"),
        (lambda: espirit(K.numpy(), (16, 20)), "calibration_kspace: found shape .* of complex64; expected a tensor of complex"),
        (lambda: espirit([1, 2], (16, 20)), "calibration_kspace: found a list; expected a tensor"),
        (lambda: sense(MASK[0], CSM), r"sense: mask: found shape \(1, 1, 16, 20\) of bool; expected .*\(batch frames 1 \*k\)"),
        (lambda: sense(MASK.expand(1, 1, 4, 16, 20), CSM), r"sense: mask: found shape \(1, 1, 4, 16, 20\) of bool"),
        (lambda: sense(MASK, CSM.expand(3, 1, 4, 16, 20)), r"sense: csm: .*where batch = 1"),
        (lambda: sense(MASK, CSM[..., :-1]), r"sense: csm: found a matrix of \(16, 19\).*expected \(16, 20\)"),
        (lambda: sense(MASK, CSM)(K), r"Sense.__call__: x: found shape \(1, 1, 4, 16, 20\).*\(batch frames maps \*x\), where .*maps = 1"),
        (lambda: sense(MASK, CSM).gram(K[..., :1, :9, :9]), r"Sense.gram: x: .*where \*x = \(16, 20\)"),
        (lambda: sense(MASK, CSM).adjoint(K[:, :, :3]), r"Sense.adjoint: y: .*coils = 4"),
        (lambda: mix_coils(torch.eye(3) + 0j, K), r"mix_coils: kspace: .*where coils = 3"),
        (lambda: noise_covariance(K[0, 0]), None),
        (lambda: noise_covariance(K[0]), r"noise_covariance: noise: found shape \(1, 4, 16, 20\).*\(readouts coils samples\)"),
        (lambda: compression_matrix(K[0, 0], 2), "compression_matrix: calibration"),
        (lambda: conjugate_gradient(lambda x: x, K.real), "conjugate_gradient: rhs: found .* of float32"),
        (lambda: conjugate_gradient(lambda x: x, K, initial=K[0]), r"initial: .*where \*systems_x = \(1, 1, 4, 16, 20\)"),
        (lambda: heldout_residual(K, K[:, :, :3], MASK, None), r"heldout_residual: measured: .*coils = 4"),
        (lambda: line_by_line(np.ones((3, 3))), "omega: found shape .3, 3. of float64; expected a NumPy array of bool values"),
    ],
)
def test_errors_name_function_argument_found_and_expected(call, message):
    if message is None:
        with pytest.raises(BadInput):
            call()
        return
    with pytest.raises(BadShape, match=message) as caught:
        call()
    assert "\n" not in str(caught.value) and isinstance(caught.value, (BadInput, ValueError))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_what_a_name_means():
    @checked
    def sized(
        a: Float[Tensor, "n 3 *rest"],
        b: Bool[Tensor, "*rest n"] | None = None,
        c: Float[Tensor, " n"] | float = 1.0,
        d: Tensor | None = None,
    ) -> str:
        return "done"

    one = torch.zeros(2, 3, 4, 5)
    given = [(one,), (one, None), (one, torch.ones(4, 5, 2) > 0, 2.0), (one, None, torch.zeros(2)), (one, None, 1.0, torch.zeros(1))]
    for arguments in given:
        assert sized(*arguments) == "done"
    assert sized(a=torch.zeros(2, 3), b=torch.ones(2) > 0, c=torch.zeros(2)) == "done" and sized.__name__ == "sized"
    for arguments in ((torch.zeros(2, 4),), (one, torch.ones(5, 4, 2) > 0), (one, None, torch.zeros(3)), (None,), (one, None, 1)):
        with pytest.raises(BadShape):
            sized(*arguments)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        sized()

    @dataclass(frozen=True)
    class Times:
        factor: Complex[Tensor, "batch *x"]

        @checked
        def __call__(self, x: Complex[Tensor, "batch *x"]) -> Complex[Tensor, "batch *x"]:
            return self.factor * x

    assert Times(K)(K).shape == K.shape
    with pytest.raises(BadShape, match=r"Times.__call__: x: .*where \*x = \(1, 4, 16, 20\), batch = 1"):
        Times(K)(K[:, :, :1])


def test_without_debugging_nothing_is_wrapped():
    code = "from ssrecon.calibrate import espirit; raise SystemExit(hasattr(espirit, 'checks_shapes'))"
    assert subprocess.run([sys.executable, "-O", "-c", code], check=False).returncode == 0
