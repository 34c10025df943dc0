"""Sensitivities learned without truth: the gauge, what they may depend on, and that they help where calibration was poor."""

from dataclasses import replace

import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe
from ssrecon.core.scan import CalibratedScan
from ssrecon.networks import LearnedCSM, ResNet, Unrolled
from ssrecon.objectives import SPICER, MultiMaskSSDU
from ssrecon.partition import Gamma, Uniform, gamma_score
from tests.scans import EXAMPLE, column_mask, loss_of, make_scan

SMALL = LearnedCSM(Unrolled(ResNet(blocks=1, channels=4), unrolls=2, cg_iterations=4), ResNet(blocks=1, channels=8))


def with_hole(scan):
    """The object ends inside the field of view."""
    inside = torch.zeros(scan.csm.shape[3:], dtype=torch.bool)
    inside[4:-4, 3:-3] = True
    return replace(scan, csm=torch.where(inside, scan.csm, 0))


@pytest.mark.parametrize(("coils", "maps"), [(1, 1), (4, 1), (12, 2)])
def test_the_gauge(coils, maps):
    scan = with_hole(make_scan(coils=coils, maps=maps))
    scan = replace(scan, csm=scan.csm * maps**0.5)
    network = replace(SMALL, inner=replace(SMALL.inner, maps=maps), gain=1.0).build(0, EXAMPLE)
    csm = network(scan).csm
    support = (scan.csm != 0).any(dim=2)
    torch.testing.assert_close(torch.linalg.vector_norm(csm, dim=2), support.float(), atol=1e-4, rtol=0)
    overlap = (scan.csm.conj() * csm).sum(dim=2)[support]
    assert overlap.imag.abs().max() < 1e-4 and overlap.real.min() > 0


def test_it_starts_from_what_calibration_found():
    scan = with_hole(make_scan())
    assert (LearnedCSM().build(0, EXAMPLE).sensitivities(scan) - scan.csm).abs().max() < 0.05


def test_a_global_phase_of_the_csm_stays_with_the_csm():
    """The gauge is that of the scan's own csm, whichever that is."""
    scan, network = make_scan(), SMALL.build(0, EXAMPLE)
    turned = replace(scan, csm=scan.csm * torch.tensor(1j))
    overlap = (turned.csm.conj() * network.sensitivities(turned)).sum(dim=2)
    assert overlap.imag.abs().max() < 1e-4 and overlap.real.min() > 0


def test_only_calibration_samples_that_the_scan_holds_are_seen():
    scan, network = make_scan(), SMALL.build(0, EXAMPLE)
    csm = network.sensitivities(scan)
    outside = scan.mask & ~scan.calibration
    assert torch.equal(csm, network.sensitivities(replace(scan, kspace=torch.where(outside, torch.nan, scan.kspace))))
    theta = Uniform(0.4).split(scan, Draw(0)).theta
    withheld = scan.mask & ~theta
    part = scan.on(theta)
    moved = replace(scan, kspace=torch.where(withheld, scan.kspace + 100, scan.kspace)).on(theta)
    assert torch.equal(network(part).csm, network(moved).csm)
    apart = replace(scan, calibration=torch.zeros_like(scan.calibration))
    assert torch.isfinite(torch.view_as_real(network(apart).csm)).all()


def residual(network, scans):
    with torch.no_grad():
        scores = [gamma_score(network, scan, Gamma(lines=False).hold_out(scan, Draw(7)))[0] for scan in scans]
    return float(torch.cat(scores).mean())


def wrong(scan):
    """Sensitivities as a poor calibration leaves them: the coils' phases drift apart over the field of view."""
    n = scan.csm.shape[-1]
    ramp = torch.linspace(-1, 1, n) * torch.linspace(-1.2, 1.2, scan.csm.shape[2])[:, None, None]
    return replace(scan, csm=scan.csm * torch.exp(1j * ramp))


def test_held_out_samples_are_predicted_better_than_with_fixed_maps_that_are_wrong():
    """The same network, the same updates and losses, without truth; once with the csm as it came, once with it corrected."""
    scans = [wrong(make_scan(seed=seed, scan_id=f"s{seed}/slice-000", mask=column_mask((32, 32), 2))) for seed in range(4)]
    inner = Unrolled(ResNet(blocks=1, channels=8, residual=True), unrolls=2, cg_iterations=4)
    scores = {}
    for name, spec, objective in (
        ("fixed", inner, MultiMaskSSDU(Uniform(0.4), masks=None)),
        ("learned", LearnedCSM(inner, ResNet(blocks=1, channels=16)), SPICER(Uniform(0.4))),
        ("learned by SSDU", LearnedCSM(inner, ResNet(blocks=1, channels=16)), MultiMaskSSDU(Uniform(0.4), masks=None)),
    ):
        network = spec.build(0, EXAMPLE)
        optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
        for step in range(60):
            optimizer.zero_grad()
            batch = CalibratedScan.batch([scan.on(~Gamma(lines=False).hold_out(scan, Draw(7))) for scan in scans])
            loss_of(objective, network, batch, None, Draw(0, step)).mean.backward()
            optimizer.step()
        scores[name] = residual(network.eval(), scans)
    assert scores["learned"] < 0.8 * scores["fixed"] and scores["learned by SSDU"] < 0.8 * scores["fixed"]


def test_what_has_no_gradient_for_the_csm_is_refused():
    for wrong_one in (lambda: LearnedCSM(Unrolled(implicit_backward=True)), lambda: LearnedCSM(gain=0.0), lambda: LearnedCSM(width=0.0)):
        with pytest.raises(BadRecipe, match="LearnedCSM"):
            wrong_one()


def test_corrections_of_sensitivities_are_as_smooth_as_sensitivities():
    network = LearnedCSM(SMALL.inner, width=3.0).build(0, EXAMPLE)
    noise = torch.randn(1, 1, 4, 32, 32, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    spectrum = torch.fft.fftshift(torch.fft.fft2(network._smooth(noise)), dim=(-2, -1)).abs().square().mean(dim=(0, 1, 2))
    y, x = torch.meshgrid(*[torch.arange(32) - 16] * 2, indexing="ij")
    far = (y**2 + x**2).sqrt() > 9
    assert float(spectrum[far].mean()) < 1e-3 * float(spectrum[~far].mean())
