"""A measured phantom scan in ISMRMRD, R=3 with a noise scan, through prepare and CG-SENSE."""

import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.baselines import CGSense
from ssrecon.baselines.tuning import Axis, HeldOutResidual, tune
from ssrecon.calibrate import Calibrator
from ssrecon.core.draw import Draw
from ssrecon.operators import Fourier, encoding
from ssrecon.partition import Gamma
from ssrecon.store.prepare import prepare


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, test_data):
    archive = open_archive(test_data / "raw" / "phantom_mrd_r3_noise_acs.h5")
    store = prepare(archive, tmp_path_factory.mktemp("store"), Calibrator())
    return store.load(store.headers[0].scan_id)


@pytest.fixture(scope="module")
def tuned(prepared):
    """CG-SENSE tuned by what it predicts of withheld lines: there is no reference."""
    grid = {"regularisation": Axis((0.0, 0.001, 0.003, 0.01), lowest=0.0), "iterations": Axis((5, 10, 20, 40), lowest=1)}
    return tune(CGSense(), grid, [prepared], HeldOutResidual(Gamma(), Draw(0)))


def test_whitened_noise_is_one(prepared):
    """Beside the object, in units of the noise scan: outermost lines, transformed along the readout, where no bottle is."""
    scan = prepared.scan
    assert scan.noise_source == "noise scan"
    lines = torch.nonzero(scan.mask[0, 0, 0, :, scan.mask.shape[-1] // 2]).flatten()
    profiles = Fourier(1).adjoint(scan.kspace[0, 0][:, lines[[0, 1, 2, -3, -2, -1]]])
    beside = torch.cat([profiles[..., :4], profiles[..., -4:]], dim=-1)
    level = beside.abs().square().mean().sqrt() / scan.noise_std[0]
    print(f"noise outside the object over the noise scan's: {level:.3f}")
    assert level == pytest.approx(1, abs=0.1)


def test_withheld_lines_are_predicted_to_within_twice_the_noise(tuned):
    print(f"residual on withheld lines: {tuned.score**0.5:.2f} of the noise, with {tuned.baseline}")
    assert tuned.score**0.5 < 2


def test_ghosts_at_a_third_of_the_field_of_view(prepared, tuned):
    """Energy where the object would fold to, less what noise alone puts there, over the object's."""
    whole = tuned.baseline.reconstruct(prepared.scan).magnitude[0, 0]
    obj = whole > 0.15 * whole.flatten().quantile(0.99)
    assert 0.1 < obj.float().mean() < 0.6
    # Of the lattice alone: with the calibration lines in it, there is hardly a ghost to be unfolded.
    lattice = torch.zeros_like(prepared.scan.mask)
    first = int(torch.nonzero(prepared.scan.mask[0, 0, 0].any(dim=1))[0])
    lattice[..., first % 3 :: 3, :] = True
    for name, scan, bound in (("all lines", prepared.scan, 0.02), ("every third line", prepared.scan.on(lattice), 0.02)):
        zero_filled = encoding(scan).adjoint(scan.kspace).abs()[0, 0, 0]
        ours, folded = ghost(tuned.baseline.reconstruct(scan).magnitude[0, 0], obj), ghost(zero_filled, obj)
        print(f"ghost energy, {name}: {100 * ours:.2f} % of the object's (zero-filled {100 * folded:.2f} %)")
        assert ours < bound and ours < folded
    assert folded > bound, "the zero-filled image of the lattice has to show the ghost that the measure is for"


def ghost(image: torch.Tensor, obj: torch.Tensor) -> float:
    height = image.shape[0]
    shifted = torch.roll(obj, height // 3, 0) | torch.roll(obj, -(height // 3), 0)
    place, nothing = shifted & ~obj, ~shifted & ~obj
    energy = image.square()
    background = energy[nothing].mean() if nothing.any() else 0.0
    return float((energy[place] - background).sum() / energy[obj].sum())
