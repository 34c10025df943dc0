"""Public functions check what their annotations state, and say in one sentence what does not fit."""

import importlib
import inspect
import pickle
import pkgutil
import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

import ssrecon
from ssrecon.algorithms import conjugate_gradient
from ssrecon.archive.fastmri.writer import write_fastmri
from ssrecon.calibrate import Calibrator, compression_matrix, espirit, mix_coils, noise_covariance
from ssrecon.core.errors import BadInput, BadShape
from ssrecon.core.scan import CalibratedScan, Header, Scan
from ssrecon.core.shapes import annotated, checked
from ssrecon.metrics import heldout_residual
from ssrecon.operators import sense
from ssrecon.sampling.lines import line_by_line

UNCHECKED = {
    "ssrecon.operators.sensitivity.Sensitivity": "the gram makes one for each block of coils in every iteration; its methods check",
}
"""What states shapes and does not check them, and why."""


def modules():
    for found in pkgutil.walk_packages(ssrecon.__path__, "ssrecon."):
        if not found.name.endswith(".__main__"):
            yield importlib.import_module(found.name)


def public():
    """Functions, records and methods of all rooms, without a leading underscore, whose arguments or fields say a shape."""
    for module in modules():
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
                continue
            if (inspect.isfunction(thing) or inspect.isclass(thing)) and annotated(thing):
                yield f"{module.__name__}.{name}", thing
            for method, function in vars(thing).items() if inspect.isclass(thing) else ():
                function = getattr(function, "__func__", function)  # of a static method
                shown = inspect.isfunction(function) and (method == "__call__" or not method.startswith("_"))
                if shown and annotated(function) and not getattr(function, "__isabstractmethod__", False):
                    yield f"{module.__name__}.{name}.{method}", function


def test_everything_public_that_states_shapes_checks_them():
    found = dict(public())
    assert len(found) > 110
    assert {f"ssrecon.{name}" for name in ("calibrate.espirit.espirit", "core.scan.Scan", "core.scan.CalibratedScan.on")} <= set(found)
    assert {name for name, thing in found.items() if "checks_shapes" not in vars(thing)} == set(UNCHECKED)


K = torch.zeros(1, 1, 4, 16, 20, dtype=torch.complex64)
MASK, CSM = torch.ones(1, 1, 1, 16, 20, dtype=torch.bool), torch.ones(1, 1, 4, 16, 20, dtype=torch.complex64)
SCAN = Scan(Header("v/0", "v", "s"), K, MASK, ~MASK, csm=CSM)


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
        (lambda: replace(SCAN, kspace=K.real), r"v/0: Scan: kspace: found shape \(1, 1, 4, 16, 20\) of float32.*\(1 frames coils \*k\)"),
        (lambda: replace(SCAN, mask=MASK[..., :-1]), r"v/0: Scan: mask: found shape \(1, 1, 1, 16, 19\).*where \*k = \(16, 20\)"),
        (lambda: replace(SCAN, noise=K[0, :, :3, 0]), r"v/0: Scan: noise: found shape \(1, 3, 20\).*coils = 4"),
        (lambda: CalibratedScan.white(SCAN).on(MASK[0]), r"CalibratedScan.on: mask: found shape \(1, 1, 16, 20\).*batch = 1"),
        (lambda: Calibrator().sensitivities(K.real, (16, 20)), "Calibrator.sensitivities: calibration: found shape .* of float32"),
        (lambda: write_fastmri("v.h5", K[0], truth=K[0, :, :3]), r"write_fastmri: truth: found shape \(1, 3, 16, 20\).*coils = 4"),
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
