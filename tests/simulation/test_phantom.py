"""The phantom archive: made-up heads, but real physics, and data worth training on."""

import math
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from ssrecon.core.description import describe, rebuild
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.operators import Fourier
from ssrecon.simulation import MPRAGE, Flair, PhantomArchive, T1Weighted, T2Weighted
from ssrecon.simulation.phantom.acquisition import encode
from ssrecon.simulation.phantom.coils import SEGMENTS, WIRE_RADIUS, CoilArray
from ssrecon.simulation.phantom.contrast import TISSUES
from ssrecon.simulation.phantom.fields import Canvas, Fields, band, rough

SMALL = PhantomArchive(subjects=3, slices=2, matrix=(64, 48), coils=4, contrasts=(T1Weighted(), T2Weighted()))


def magnitude(kspace: torch.Tensor) -> np.ndarray:
    """Root sum of squares over the coils of (1, 1, coils, ky, kx)."""
    return torch.linalg.vector_norm(Fourier(2).adjoint(kspace)[0, 0], dim=0).numpy()


def test_a_scan_is_complete():
    scan = SMALL.read("phantom-0002-T2-001")
    assert scan.kspace.shape == scan.truth.shape == (1, 1, 4, 64, 48) and scan.kspace.dtype == torch.complex64
    assert scan.mask.shape == (1, 1, 1, 64, 48) and scan.mask.all() and not scan.padding.any()
    assert scan.reference is None and scan.noise.shape[1] == 4 and scan.noise.dtype == torch.complex64
    header = scan.header
    assert (header.subject, header.volume_id, header.slice, header.contrast) == ("phantom-0002", "phantom-0002-T2", 1, "T2")
    assert header.encoded_matrix == (64, 48) and header.field_strength == 3.0 and header.encoded_fov == SMALL.fov
    assert len(SMALL) == 12 and {len(ids) for ids in SMALL.volumes().values()} == {2}
    assert [h.scan_id for h in SMALL.headers] == [it.scan_id for it in SMALL]


def test_the_same_seed_gives_the_same_bytes_in_any_order():
    again = replace(SMALL)
    later = again.read("phantom-0001-T1-000")
    again.read("phantom-0000-T1-000")
    for scan in (SMALL.read("phantom-0001-T1-000"), again.read("phantom-0001-T1-000")):
        assert torch.equal(scan.kspace, later.kspace) and torch.equal(scan.noise, later.noise) and torch.equal(scan.truth, later.truth)
    # More subjects and slices elsewhere do not change who this is.
    assert torch.equal(replace(SMALL, subjects=9).read("phantom-0001-T1-000").kspace, later.kspace)
    assert not torch.equal(replace(SMALL, seed=1).read("phantom-0001-T1-000").kspace, later.kspace)


def test_noise_is_what_the_noise_scan_says_it_is():
    archive = replace(SMALL, noise_bandwidth_ratio=2.0, noise=0.1)
    scan = archive.read("phantom-0000-T1-000")
    readouts = scan.noise.permute(1, 0, 2).flatten(1)
    covariance = readouts @ readouts.conj().T / readouts.shape[1] * scan.noise_bandwidth_ratio
    relative = covariance / covariance.diagonal().real.sqrt()[:, None] / covariance.diagonal().real.sqrt()
    assert (relative - torch.eye(4)).abs().max() > 0.1, "coil noise ought to be correlated"
    noise = (scan.kspace - scan.truth)[0, 0].flatten(1)
    white = torch.linalg.solve(torch.linalg.cholesky(covariance), noise)
    assert torch.allclose(white @ white.conj().T / white.shape[1], torch.eye(4, dtype=white.dtype), atol=0.08)
    other = archive.read("phantom-0000-T1-001")
    assert torch.equal(other.noise, scan.noise) and not torch.equal(other.kspace - other.truth, scan.kspace - scan.truth)


def test_noise_is_relative_to_white_matter():
    archive = PhantomArchive(subjects=1, slices=3, matrix=(96, 96), noise=1 / 30, oversampling=2)
    scan = archive.read("phantom-0000-T1-001")
    readouts = scan.noise.permute(1, 0, 2).flatten(1)
    covariance = readouts @ readouts.conj().T / readouts.shape[1]
    images = Fourier(2).adjoint(scan.truth)[0, 0]
    # With c = s_c x itself as the sensitivity, sqrt(c^H Psi^-1 c) is the SNR of the optimal combination.
    snr = (images.conj() * torch.linalg.solve(covariance, images.flatten(1)).reshape(images.shape)).sum(0).real.sqrt()
    covered = torch.zeros(192, 192)
    for layer in archive.tissues(scan.scan_id).layers:
        covered = covered * (1 - layer.cover) + layer.cover * (layer.tissue == "white")
    white = torch.nn.functional.avg_pool2d(covered[None, None], 2)[0, 0] > 0.99
    assert white.sum() > 500
    assert 20 < float(snr[white].median()) < 45


def test_without_noise_there_is_no_noise_scan():
    scan = replace(SMALL, noise=0.0).read("phantom-0000-T1-000")
    assert scan.noise is None and torch.equal(scan.kspace, scan.truth)


def test_encoding_a_point_between_pixels():
    """Against the Fourier integral: a point of the fine grid that is no pixel of the encoded one."""
    canvas, matrix = Canvas((64, 48), (220.0, 200.0)), (32, 24)
    array = CoilArray.drawn(Draw(0), 3)
    image = torch.zeros(64, 48, dtype=torch.complex64)
    image[21, 34] = 2 - 1j
    maps = array.maps(canvas, 12.0)
    position = [(21 - 32) / 2, (34 - 24) / 2]  # in encoded pixels from the centre
    ky, kx = torch.meshgrid(torch.arange(32) - 16, torch.arange(24) - 12, indexing="ij")
    wave = torch.exp(-2j * math.pi * (ky * position[0] / 32 + kx * position[1] / 24))
    expected = maps.fine()[:, 21, 34, None, None] * (2 - 1j) * wave / 4 / math.sqrt(32 * 24)
    assert torch.allclose(encode(image, maps, matrix), expected, atol=1e-5 * float(expected.abs().max()) * 10)


def test_a_finer_matrix_sees_the_same_head():
    coarse, fine = (replace(SMALL, matrix=(n, n), noise=0.0, fat_shift=0.0).read("phantom-0000-T1-000").truth for n in (64, 128))
    centre = fine[..., 48:80, 48:80] / 2  # orthonormal: twice the matrix in two dimensions doubles the samples
    assert torch.linalg.vector_norm(coarse[..., 16:48, 16:48] - centre) < 0.04 * torch.linalg.vector_norm(centre)


def test_it_is_drawn_finer_than_it_is_encoded():
    archive = replace(SMALL, matrix=(64, 64), noise=0.0)
    images = Fourier(2).adjoint(archive.read("phantom-0000-T1-000").truth)[0, 0]
    rss = torch.linalg.vector_norm(images, dim=0)
    background = torch.cat([rss[:3].flatten(), rss[-3:].flatten()])
    assert background.median() > 1e-4 * rss.max(), "the edges of a truncated transform ring into the air"


def test_slices_of_a_volume_are_slices_of_one_head():
    dense = PhantomArchive(subjects=1, slices=26, matrix=(64, 64), coils=4)  # 2 mm apart
    near, next_, far = (magnitude(dense.read(f"phantom-0000-T1-{i:03d}").truth).ravel() for i in (10, 11, 25))
    assert np.corrcoef(near, next_)[0, 1] > 0.97 > 0.9 > np.corrcoef(near, far)[0, 1]


def test_fields_have_unit_variance_and_are_continuous():
    canvas = Canvas((128, 96), (240.0, 180.0))
    for spectrum, finest in ((band(20), 6.0), (rough(1.15, 25), 4.0)):
        values = torch.stack([Fields(Draw(seed), "someone")("field", canvas, 3.3, spectrum, finest, 10) for seed in range(12)])
        assert 0.85 < float(values.var()) < 1.15
    field = Fields(Draw(0), "someone")
    below, above = (field("field", canvas, z, band(20), 6, 10) for z in (9.99, 10.01))
    assert (below - above).abs().max() < 0.05


def test_every_tissue_is_somewhere():
    archive = PhantomArchive(subjects=12, slices=4, matrix=(64, 64))
    found: dict[str, float] = {}
    for header in archive.headers:
        if len(found) == len(TISSUES):
            break
        slice_ = archive.tissues(header.scan_id)
        for layer in slice_.layers:
            assert 0 <= float(layer.cover.min()) and float(layer.cover.max()) <= 1
            if float(layer.cover.max()) > 0.5:
                found[layer.tissue] = max(found.get(layer.tissue, 0), float(layer.cover.sum()))
    assert set(found) == set(TISSUES)
    assert found["white"] > 500


def test_sequences_give_the_contrast_they_are_named_after():
    t1, t2, flair, mprage = T1Weighted(), T2Weighted(), Flair(), MPRAGE()
    assert t1.of("fatty") > t1.of("white") > t1.of("grey") > t1.of("fluid")
    assert t2.of("fluid") > t2.of("lesion") > t2.of("grey") > t2.of("white") > t2.of("bone")
    assert flair.of("lesion") > flair.of("grey") > flair.of("white") > 10 * abs(flair.of("fluid"))
    assert mprage.of("white") > mprage.of("caudate") > mprage.of("grey") > mprage.of("fluid")
    white = TISSUES["white"]
    by_hand = white.density * (1 - math.exp(-t2.tr / white.t1)) * math.exp(-t2.te / white.t2)
    assert t2.of("white") == pytest.approx(by_hand, rel=1e-5)
    t1 = TISSUES["fluid"].t1
    null = t1 * math.log(2 / (1 + math.exp(-9000 / t1)))  # the inversion time at which fluid gives no signal
    assert abs(Flair(ti=null).of("fluid")) < 1e-5 and abs(null - Flair().ti) < 60


def test_the_field_of_one_loop():
    """On its axis, against the closed form R^2 / (R^2 + d^2)^(3/2), times R for the units."""
    radius, angle = 60.0, torch.arange(SEGMENTS) * (2 * math.pi / SEGMENTS)
    corners = torch.stack([torch.zeros(SEGMENTS), radius * torch.cos(angle), radius * torch.sin(angle)], dim=-1)
    step = corners.roll(-1, 0) - corners
    loop = CoilArray((corners + step / 2)[None], step[None], torch.ones(1, dtype=torch.complex64))
    distance = torch.tensor([0.0, 30.0, 60.0, 120.0])
    field = loop.field(distance, torch.zeros(4), torch.zeros(4))[0]
    assert torch.allclose(field.real, radius**3 / (radius**2 + distance**2 + WIRE_RADIUS**2) ** 1.5, rtol=0.05)
    assert field.imag.abs().max() < 1e-4


@pytest.mark.parametrize("coils", [1, 4, 8, 16])
def test_coils(coils: int):
    array = CoilArray.drawn(Draw(3), coils)
    canvas = Canvas((64, 64), (236.0, 236.0))
    rows, columns = canvas.axes
    front, right = torch.meshgrid(-rows, columns, indexing="ij")
    direct = array.field(right.flatten(), front.flatten(), torch.full((64 * 64,), 20.0)).reshape(coils, 64, 64) * array.gain[:, None, None]
    inside = torch.hypot(right / 80, front / 100) < 1
    error = (array.maps(canvas, 20.0).fine() - direct)[:, inside]
    assert torch.linalg.vector_norm(error) < 2e-3 * torch.linalg.vector_norm(direct[:, inside])
    covariance = array.covariance()
    assert torch.allclose(covariance, covariance.conj().T) and torch.linalg.eigvalsh(covariance).min() > 0


def test_bad_input():
    for wrong in ({"subjects": 0}, {"coils": 0}, {"oversampling": 1}, {"noise": -1.0}, {"matrix": (8, 8)}, {"contrasts": ()}):
        with pytest.raises(BadInput, match="PhantomArchive"):
            PhantomArchive(**wrong)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="own name"):
        PhantomArchive(contrasts=(T1Weighted(), T1Weighted(tr=700)))
    with pytest.raises(BadInput, match="no scan 'phantom-0099-T1-000'"):
        SMALL.read("phantom-0099-T1-000")


def test_its_description_rebuilds_it():
    assert rebuild(describe(SMALL), "recipe") == SMALL


def radial_slope(kspace: np.ndarray) -> float:
    """Log-log slope of the radial power of (coils, ky, kx) between .05 and .45 cycles a pixel."""
    power = (np.abs(kspace) ** 2).sum(axis=0)
    rows, columns = ((np.arange(n) - n // 2) / n for n in power.shape)
    edges = np.geomspace(0.05, 0.45, 17)
    ring = np.digitize(np.hypot(rows[:, None], columns[None]).ravel(), edges)
    means = [power.ravel()[ring == i].mean() for i in range(1, len(edges))]
    return float(np.polyfit(np.log(np.sqrt(edges[1:] * edges[:-1])), np.log(means), 1)[0])


def test_kspace_power_falls_as_in_a_real_brain(test_data):
    with h5py.File(test_data / "brain" / "brain_d.h5") as file:
        measured = radial_slope(file["kspace"][0])  # T1-weighted MPRAGE
    for contrast in (T1Weighted(), MPRAGE()):
        archive = PhantomArchive(subjects=4, slices=1, coils=4, contrasts=(contrast,))
        slopes = [radial_slope(scan.kspace[0, 0].numpy()) for scan in archive]
        print(f"radial power slope: brain_d {measured:.2f}, phantom {contrast.name} {np.round(slopes, 2)}")
        assert abs(np.mean(slopes) - measured) < 0.35 and np.ptp(slopes) < 0.6


def inside_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two magnitude images where both show a head."""
    from scipy.ndimage import binary_fill_holes, gaussian_filter

    masks = []
    for image in (a, b):
        soft = gaussian_filter(image, 3)
        masks.append(binary_fill_holes(soft > 0.25 * np.median(soft[soft > 0.1 * soft.max()])))
    both = masks[0] & masks[1]
    return float(np.corrcoef(a[both], b[both])[0, 1])


def test_two_subjects_are_no_more_alike_than_two_people(test_data):
    with h5py.File(test_data / "semi_synthetic" / "complex_brains_t2.h5") as file:
        images = np.abs(file["image"][:])
    same_view = [[0, 13], [6, 12], [3, 9], [2, 5, 8, 15], [1, 4, 7, 10, 11, 14]]  # axial at three levels, sagittal, coronal
    pairs = [(images[i], images[j]) for group in same_view for n, i in enumerate(group) for j in group[n + 1 :]]
    archive = PhantomArchive(subjects=5, slices=3, coils=4, contrasts=(T2Weighted(),))
    heads = [magnitude(archive.read(f"phantom-{i:04d}-T2-001").truth) for i in range(5)]
    made = [(heads[i], heads[j]) for i in range(5) for j in range(i + 1, 5)]
    for name, measure in (("whole image", lambda a, b: float(np.corrcoef(a.ravel(), b.ravel())[0, 1])), ("inside", inside_correlation)):
        people, phantoms = (np.array([measure(a, b) for a, b in some]) for some in (pairs, made))
        spans = [f"{some.mean():.2f} (up to {some.max():.2f})" for some in (people, phantoms)]
        print(f"correlation, {name}: people {spans[0]}, phantoms {spans[1]}")
        assert phantoms.mean() < people.max() and np.quantile(phantoms, 0.9) < people.max() + 0.1
    assert phantoms.mean() < people.mean() and phantoms.max() < people.max()


def test_headers_tell_times_and_place():
    archive = PhantomArchive(subjects=1, slices=3, matrix=(32, 48), coils=2, contrasts=(T1Weighted(), MPRAGE()), fov=(240.0, 240.0))
    first, second, _, inverted, *_ = archive.headers
    assert (first.repetition_time, first.echo_time, first.inversion_time, first.flip_angle) == (550.0, 9.0, None, None)
    assert (inverted.repetition_time, inverted.echo_time, inverted.inversion_time, inverted.flip_angle) == (2300.0, None, 1000.0, 9.0)
    assert first.geometry.known and first.geometry.index_to_lps((16, 24), (32, 48))[:2] == (0.0, 0.0)
    # From the front to the back and from the patient's left to the right; the next slice lies higher.
    assert first.geometry.index_to_lps((0, 0), (32, 48))[:2] == (120.0, -120.0)
    assert second.geometry.position[2] > first.geometry.position[2]
