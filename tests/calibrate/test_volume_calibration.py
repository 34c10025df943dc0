"""The slices of a volume agree, and do not depend on how their coils or they themselves are grouped."""

from dataclasses import replace

import pytest
import torch

from ssrecon.calibrate import Calibrator, espirit
from ssrecon.calibrate.espirit import SCANS_AT_ONCE
from ssrecon.core.scan import CalibratedScan, Prepared
from ssrecon.operators import encoding
from tests.calibrate.raw import raw_scan
from tests.scans import smooth_csm


def test_slices_share_scale_and_noise(volume):
    scans = [item.scan for item in Calibrator().volume(volume)]
    assert len({float(s.scale) for s in scans}) == 1 and len({float(s.noise_std) for s in scans}) == 1
    assert CalibratedScan.batch(scans).kspace.shape[0] == 3


def image(item: Prepared) -> torch.Tensor:
    return encoding(item.reference).adjoint(item.reference.kspace)


@pytest.mark.parametrize("maps", [1, 2])
@pytest.mark.parametrize("coils", [None, 4])
def test_images_do_not_depend_on_the_order_and_the_phases_of_coils(volume, maps, coils):
    """One may permute the coils of a file, or give each a phase of its own: images stay as they were, phase included. Images were turned by
    93 to 97 degrees when the phase of virtual coil 1 was that which a library gives to an eigenvector."""
    mixing = torch.diag(torch.exp(1j * torch.linspace(0, 40, 6, dtype=torch.float64)))[torch.tensor([3, 5, 0, 1, 4, 2])]

    def mixed(kspace):
        return torch.einsum("oc,bfcyx->bfoyx", mixing, kspace.to(torch.complex128)).to(torch.complex64)

    other = [
        replace(
            scan,
            kspace=mixed(scan.kspace),
            reference=mixed(scan.reference),
            noise=torch.einsum("oc,rcs->ros", mixing, scan.noise.to(torch.complex128)).to(torch.complex64),
            truth=None,
        )
        for scan in volume
    ]
    for one, two in zip(*(Calibrator(maps=maps, coils=coils).volume(scans) for scans in (volume, other)), strict=True):
        difference = torch.linalg.vector_norm(image(one)[:, :, 0] - image(two)[:, :, 0])
        assert float(difference / torch.linalg.vector_norm(image(one)[:, :, 0])) < 1e-4


def test_the_phase_is_one_over_the_slices_of_a_volume(volume):
    """Slices of one object and noises of their own: their images have one phase, that of the object up to a smooth one."""
    slices = [replace(raw_scan(0), kspace=raw_scan(0).kspace * factor, truth=None, reference=None) for factor in (1, 0.3j, -2)]
    first, *others = (item.scan.csm for item in Calibrator().volume(slices))
    for other in others:
        together = (first.conj() * other).sum(dim=2)
        assert float(together.angle().abs().max()) < 0.05 and float((together.abs() > 0.5).float().mean()) > 0.3


def test_slices_calibrated_together_are_as_one_by_one(monkeypatch):
    """What a device does: sensitivities of several slices at once, in groups that fit; the same slices in the same order."""
    volume = [raw_scan(index) for index in range(5)]
    volume[1] = replace(volume[1], csm=smooth_csm(volume[1].kspace.shape[2], (64, 64)))  # the user's own: it is in no group
    alone = Calibrator().volume(volume)
    sizes = []

    def counted(calibration, *rest):
        sizes.append(len(calibration))
        return espirit(calibration, *rest)

    monkeypatch.setitem(SCANS_AT_ONCE, "cpu", 3)
    monkeypatch.setattr("ssrecon.calibrate.calibrator.espirit", counted)
    together = Calibrator().volume(volume)
    assert sizes == [1, 3] * 2
    for one, other in zip(alone, together, strict=True):
        assert one.scan.ids == other.scan.ids
        assert torch.equal(one.scan.mask, other.scan.mask)
        torch.testing.assert_close(one.scan.csm, other.scan.csm, atol=2e-3, rtol=0)
        torch.testing.assert_close(one.scan.scale, other.scan.scale, rtol=1e-4, atol=0)
        torch.testing.assert_close(one.reference.kspace, other.reference.kspace, rtol=1e-4, atol=1e-4)
