"""The phase of sensitivities: indifferent to the basis of coils, and smooth where the virtual coil is blind."""

import math

import pytest
import torch

from ssrecon.calibrate.espirit import SCANS_AT_ONCE, espirit
from ssrecon.calibrate.phase import relative_phase, virtual_coil
from ssrecon.core.window import crop
from tests.calibrate.raw import white
from tests.calibrate.test_espirit import data
from tests.scans import smooth_csm


def unitary(coils: int, seed: int = 0) -> torch.Tensor:
    return torch.linalg.qr(white((coils, coils), seed))[0]


def lottery(csm: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """The same maps with a phase drawn for every pixel and map set, as eigenvectors have."""
    angle = 2 * math.pi * torch.rand((*csm.shape[:2], 1, *csm.shape[3:]), generator=torch.Generator().manual_seed(seed))
    return csm * torch.polar(torch.ones_like(angle), angle)


def steps(csm: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Largest change between neighbours of the phase that the maps have relative to smooth ones, in radians; pixels without maps do not
    count."""
    relative = (truth.conj() * csm).sum(dim=2)
    ways = (relative[..., 1:, :] * relative[..., :-1, :].conj(), relative[..., 1:] * relative[..., :-1].conj())
    return torch.stack([way.angle().abs().amax() for way in ways]).amax()


def test_a_virtual_coil_turns_with_the_coils_and_is_positive_at_dc():
    region = crop(data((48, 48), 6, 0.02)[0], (20, 20))
    mixing = unitary(6)
    turned = torch.einsum("oc,bfcyx->bfoyx", mixing.to(torch.complex64), region)
    v, w = virtual_coil([region, 2j * region]), virtual_coil([turned, 2j * turned])
    torch.testing.assert_close(w, mixing @ v, atol=1e-5, rtol=0)
    at_centre = (v.conj() * 2j * region[0, 0, :, 10, 10]).sum()
    assert float(at_centre.real) > 0 and abs(float(at_centre.imag)) < 1e-6 * float(at_centre.real)


@pytest.mark.parametrize("dc", [0.0, 1e-9])
def test_without_dc_a_virtual_coil_still_turns_with_the_coils(dc):
    region = crop(data((48, 48), 6, 0.02)[0], (20, 20))
    region[..., 10, 10] *= dc
    for seed in range(4):
        mixing = unitary(6, seed)
        v, w = virtual_coil([region]), virtual_coil([torch.einsum("oc,bfcyx->bfoyx", mixing.to(torch.complex64), region)])
        torch.testing.assert_close(w, mixing @ v, atol=1e-5, rtol=0)


def test_of_equally_large_samples_rounding_does_not_choose():
    """A real image: the samples at k and -k are equally large, with opposite phases."""
    region = crop(data((48, 48), 6, 0)[0], (21, 21))[:, :, :1]
    region = (region + region.flip(-1, -2).conj()) / 2
    region[..., 10, 10] = 0
    expected = virtual_coil([region])
    for factor in (1 + 1e-6, 1 - 1e-6):
        half = region.clone()
        half[..., :10, :] *= factor
        torch.testing.assert_close(virtual_coil([half]), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(40, 37), (70, 33), (12, 13, 14)])
def test_what_phase_an_eigenvector_had_does_not_matter(shape):
    csm = smooth_csm(6, shape, maps=2)
    reference = white((1, 6), 1).to(torch.complex64)
    expected = relative_phase(csm, reference)
    torch.testing.assert_close(relative_phase(lottery(csm), reference), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(expected.abs(), csm.abs())
    mixing = unitary(6).to(torch.complex64)
    turned = relative_phase(lottery(torch.einsum("oc,bmc...->bmo...", mixing, csm)), reference @ mixing.mT)
    torch.testing.assert_close(turned, torch.einsum("oc,bmc...->bmo...", mixing, expected), atol=1e-5, rtol=0)


def test_the_phase_does_not_jump_where_the_virtual_coil_sees_nothing():
    """Weights under which the coils cancel at a point inside the object: the phase relative to that virtual coil winds about the point."""
    shape = (64, 64)
    csm = smooth_csm(6, shape)
    blind = csm[0, 0, :, 36, 41]
    reference = csm[0, 0, :, 20, 20] - blind * (blind.conj() * csm[0, 0, :, 20, 20]).sum()
    plain = torch.einsum("bmcyx,c->bmyx", csm.conj(), reference).unsqueeze(2)
    jumping = steps(csm * plain / plain.abs().clamp_min(1e-12), csm)
    smooth = steps(relative_phase(lottery(csm), reference[None]), csm)
    assert float(jumping) > 1.5 and float(smooth) < 0.3


def test_maps_of_a_scan_are_smooth_and_those_of_a_batch_are_as_alone(monkeypatch):
    regions = [crop(data((48, 40), 5, level)[0], (24, 20)) for level in (0.005, 0.02)]
    truth = smooth_csm(5, (48, 40))
    alone = torch.cat([espirit(region, (48, 40), maps=2) for region in regions])
    both = (alone[:1, :1] != 0).any(dim=2, keepdim=True)
    assert float(steps(torch.where(both, alone[:1, :1], 0), truth)) < 0.3
    monkeypatch.setitem(SCANS_AT_ONCE, "cpu", 2)
    torch.testing.assert_close(espirit(torch.cat(regions), (48, 40), maps=2), alone, atol=2e-3, rtol=0)


def test_where_there_are_no_maps_nothing_is_made():
    none = torch.zeros(1, 1, 3, 8, 8, dtype=torch.complex64)
    assert float(relative_phase(none, torch.ones(1, 3, dtype=torch.complex64)).abs().max()) == 0
    csm = smooth_csm(3, (8, 8))
    found = relative_phase(csm, torch.zeros(1, 3, dtype=torch.complex64))
    torch.testing.assert_close(found, csm)
