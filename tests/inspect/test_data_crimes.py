"""Each kind of processing is found on scans made so, by another tool where one does it, and on no raw scan."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.signal.windows import hamming, hann, tukey

from ssrecon.archive import open_archive
from ssrecon.core.draw import Draw
from ssrecon.core.scan import Header, Scan
from ssrecon.inspect.centre import off_centre
from ssrecon.inspect.channels import CHANNELS, dead_coil, spiking_coil
from ssrecon.inspect.data_crimes import DATA_CRIMES, filtered, magnitude_derived, zero_filled
from ssrecon.inspect.duplicates import duplicates, signature
from ssrecon.inspect.filled_lines import parallel_imaging_filled
from ssrecon.inspect.oversampling import oversampled
from ssrecon.operators import Fourier
from ssrecon.sampling import Equispaced, PoissonDisc, RandomColumns, undersample
from ssrecon.simulation import PhantomArchive

N, SAMPLES, COILS = 128, 96, 8


@pytest.fixture(scope="module")
def clean():
    archive = PhantomArchive(subjects=1, slices=1, matrix=(N, SAMPLES), coils=COILS)
    return replace(archive.read(archive.headers[0].scan_id), truth=None)


def with_kspace(scan, kspace):
    return replace(scan, kspace=torch.as_tensor(kspace).to(torch.complex64).reshape(scan.kspace.shape))


def kinds(scan):
    return [finding.kind for detect in (*DATA_CRIMES, *CHANNELS, off_centre, oversampled) if (finding := detect(scan)) is not None]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("matrix, coils", [((96, 96), 8), ((128, 96), 4), ((96, 128), 1), ((97, 95), 2)])
def test_clean_scans_are_innocent(matrix, coils, seed):
    archive = PhantomArchive(subjects=1, slices=2, matrix=matrix, coils=coils, seed=seed)
    for scan in archive:
        assert kinds(scan) == []
        for pattern in (RandomColumns(4, 16), Equispaced(3, 16), PoissonDisc(4, 16, retrospective_2d=True)):
            assert kinds(undersample(scan, pattern, Draw(seed))) == []


def test_noise_alone_and_a_constant_phase_are_innocent(clean):
    noise = torch.randn(clean.kspace.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    assert kinds(with_kspace(clean, noise)) == []


def test_real_measurements_are_innocent(test_data):
    """All measured scans, and every fourth of the semi-synthetic, whose images are measured and whose coils and noise are not."""
    archive = open_archive(test_data)
    assert {
        header.scan_id: found
        for header in archive.headers
        if (header.slice or 0) % 4 == 0
        if (found := kinds(archive.read(header.scan_id)))
    } == {}


def test_zero_filling(clean):
    kspace = clean.kspace.clone()
    kspace[..., :10] = kspace[..., -10:] = 0
    finding = zero_filled(with_kspace(clean, kspace))
    assert finding is not None and finding.kind == "zero_filled" and finding.severity == "refuse" and finding.measured["lines"] == 10
    # The same lines declared as padding, or not acquired, are no crime.
    empty = torch.zeros_like(clean.mask)
    empty[..., :10] = empty[..., -10:] = True
    assert zero_filled(replace(with_kspace(clean, kspace), padding=empty)) is None
    assert zero_filled(replace(with_kspace(clean, kspace), mask=~empty)) is None


@pytest.mark.skipif(shutil.which("bart") is None, reason="BART is not installed")
def test_images_interpolated_by_bart(clean, tmp_path):
    inner = clean.kspace[0, 0, :, 16:-16, 12:-12].numpy().transpose(2, 1, 0)[:, :, None]
    (tmp_path / "in.hdr").write_text(f"# Dimensions\n{inner.shape[0]} {inner.shape[1]} 1 {COILS}\n")
    inner.astype(np.complex64).ravel(order="F").tofile(tmp_path / "in.cfl")
    for command in (
        ["resize", "-c", "0", str(SAMPLES), "1", str(N), "in", "large"],
        ["fft", "-iu", "3", "large", "image"],
        ["scale", "1000", "image", "scaled"],
        ["fft", "-u", "3", "scaled", "out"],
    ):
        subprocess.run(["bart", *command], cwd=tmp_path, check=True, capture_output=True)
    kspace = np.fromfile(tmp_path / "out.cfl", dtype=np.complex64).reshape(COILS, N, SAMPLES)
    finding = zero_filled(with_kspace(clean, kspace))
    # BART's transform leaves rounding where nothing was measured.
    assert finding is not None and finding.kind == "interpolated" and 0 < finding.measured["power_left"] < 1e-6


@pytest.mark.parametrize(
    "window", [hann, hamming, lambda n: tukey(n, 0.5), lambda n: 1 / (1 + np.exp((np.abs(np.linspace(-1, 1, n)) - 0.85) / 0.04))]
)
@pytest.mark.parametrize("axis", [-2, -1])
def test_filters(clean, window, axis):
    shape = [1, 1]
    shape[axis] = clean.kspace.shape[axis]
    values = torch.from_numpy(window(clean.kspace.shape[axis])).float().reshape(shape)
    assert "filtered" in kinds(with_kspace(clean, clean.kspace * values))


def test_magnitude_images(clean):
    fourier = Fourier(2)
    image = fourier.adjoint(clean.kspace).abs().to(torch.complex64)
    for made in (image, image * np.exp(0.7j)):
        finding = magnitude_derived(with_kspace(clean, fourier(made)))
        assert finding is not None and finding.measured["symmetry"] > 0.99


def test_conjugate_filled_partial_fourier(clean):
    """Half of k-space acquired, the rest its mirror image."""
    kspace = clean.kspace.clone()
    opposite = kspace[..., (N - torch.arange(N)) % N, :][..., (SAMPLES - torch.arange(SAMPLES)) % SAMPLES].conj()
    kspace[..., : N // 2 - 12, :] = opposite[..., : N // 2 - 12, :]
    finding = magnitude_derived(with_kspace(clean, kspace))
    assert finding is not None and "conjugates" in finding.reason


@pytest.mark.parametrize("step", [2, 3, 4])
@pytest.mark.parametrize("acs", [True, False])
def test_lines_filled_by_grappa(clean, step, acs):
    pygrappa = pytest.importorskip("pygrappa", reason="pygrappa is not installed")
    full = clean.kspace[0, 0].numpy()
    thinned = np.zeros_like(full)
    thinned[:, ::step] = full[:, ::step]
    middle = slice(N // 2 - 16, N // 2 + 16)
    filled = pygrappa.grappa(thinned, full[:, middle].copy(), kernel_size=(5, 5), coil_axis=0)
    if acs:
        filled[:, middle] = full[:, middle]
    finding = parallel_imaging_filled(with_kspace(clean, filled))
    assert finding is not None and finding.kind == "grappa_filled"


def test_lines_filled_by_sense(clean):
    """sigpy's CG-SENSE image through the maps fills the lines between; those acquired stay as they were."""
    import sigpy.mri

    full = clean.kspace[0, 0].numpy()
    maps = sigpy.mri.app.EspiritCalib(full, calib_width=24, show_pbar=False).run()
    weights = np.zeros((N, SAMPLES))
    weights[::2] = 1
    weights[N // 2 - 12 : N // 2 + 12] = 1
    image = sigpy.mri.app.SenseRecon(full * weights, maps, weights=weights, max_iter=20, show_pbar=False).run()
    filled = np.where(weights > 0, full, sigpy.fft(maps * image, axes=(-2, -1)))
    assert "grappa_filled" in kinds(with_kspace(clean, filled))


@pytest.mark.parametrize("axis, shift", [(-2, 8), (-2, -5), (-1, 6)])
def test_a_centre_that_is_not_where_the_header_has_it(clean, axis, shift):
    finding = off_centre(with_kspace(clean, clean.kspace.roll(shift, dims=axis)))
    assert finding is not None and finding.measured[f"shift_{axis + 2}"] == pytest.approx(shift, abs=1)
    assert off_centre(with_kspace(clean, clean.kspace.roll(1, dims=axis))) is None


def test_dead_and_sparking_channels(clean):
    kspace = clean.kspace.clone()
    kspace[:, :, 3] *= 1e-3
    finding = dead_coil(with_kspace(clean, kspace))
    assert finding is not None and "channel 3 of 8" in finding.reason
    kspace = clean.kspace.clone()
    kspace[0, 0, 5, 8, 70] += 20 * kspace[0, 0, 5, :16].abs().square().mean().sqrt()
    finding = spiking_coil(with_kspace(clean, kspace))
    assert finding is not None and finding.measured == {"samples": 1.0, "channels": 1.0} and "channel 5" in finding.reason


def test_a_window_over_few_coils(clean):
    few = replace(clean, kspace=clean.kspace[:, :, :2], noise=None)
    assert filtered(few) is None
    assert filtered(with_kspace(few, few.kspace * torch.from_numpy(hann(N)[:, None]).float())) is not None


def test_a_strong_sample_of_signal_is_no_spark(clean):
    """Two samples beside a strong neighbour, in a measured brain; power of neighbours that are signal, or zeros, is no noise level."""
    kspace = clean.kspace.clone()
    noise = kspace[0, 0, 5, :16].abs().square().mean().sqrt()
    kspace[0, 0, 5, 8, 70:73] += torch.tensor([9.0, 20.0, 11.0]) * noise
    assert spiking_coil(with_kspace(clean, kspace)) is None
    # A file that is partly exact zeros: what little is left beside them is no spark.
    kspace = clean.kspace.clone()
    kspace[..., :20, :] *= (torch.rand(20, SAMPLES, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    assert spiking_coil(with_kspace(clean, kspace)) is None
    kspace[0, 0, 5, 30, 90] += 20 * noise
    assert spiking_coil(with_kspace(clean, kspace)) is not None


def test_single_coils_of_an_object_with_little_phase_are_innocent():
    """Its strong samples are nearly symmetric; its noise is not."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 96), torch.linspace(-1, 1, 96), indexing="ij")
    image = ((y / 0.7) ** 2 + (x / 0.6) ** 2 < 1) * torch.exp(0.05j * x)
    kspace = Fourier(2)(image[None, None, None].to(torch.complex64))
    mask = torch.ones(1, 1, 1, 96, 96, dtype=torch.bool)
    for level in (0.03, 0.003):
        noisy = kspace + level * torch.randn(kspace.shape, dtype=torch.complex64, generator=generator)
        assert magnitude_derived(Scan(Header("a", "a", "a"), noisy, mask, ~mask)) is None
        assert magnitude_derived(Scan(Header("a", "a", "a"), Fourier(2)(Fourier(2).adjoint(noisy).abs() + 0j), mask, ~mask)) is not None


def test_oversampled_readouts(clean):
    """An object in the middle half of the readout's field of view: said where the header gives no field of view."""
    image = Fourier(2).adjoint(clean.kspace)
    wide = torch.nn.functional.pad(torch.view_as_real(image), (0, 0, SAMPLES // 2, SAMPLES // 2))
    noise = torch.randn((*wide.shape[:-1],), dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    kspace = Fourier(2)(torch.view_as_complex(wide.contiguous()) + 0.01 * image.abs().max() * noise)
    mask = torch.ones(1, 1, 1, N, 2 * SAMPLES, dtype=torch.bool)
    scan = Scan(Header("a", "a", "a"), kspace, mask, ~mask)
    finding = oversampled(scan)
    assert finding is not None and finding.severity == "warn"
    assert "the outer half of the field of view holds noise alone" in finding.reason and "oversampled?" in finding.reason
    assert oversampled(undersample(scan, RandomColumns(3, 16), Draw(0))) is not None
    assert oversampled(replace(scan, header=replace(scan.header, encoded_fov=(200.0, 400.0), recon_fov=(200.0, 200.0)))) is None
    unstated = replace(clean, header=replace(clean.header, encoded_fov=(), recon_fov=()))
    assert oversampled(unstated) is None


def test_most_channels_dead(clean):
    kspace = clean.kspace.clone()
    kspace[:, :, :6] *= 1e-4
    finding = dead_coil(with_kspace(clean, kspace))
    assert finding is not None and finding.measured["channels"] == 6
    assert dead_coil(with_kspace(clean, 0 * kspace)) is None  # nothing at all: another finding's affair


def test_noise_has_no_sparks():
    """10^7 samples."""
    scan = next(iter(PhantomArchive(subjects=1, slices=1, matrix=(256, 256), coils=2)))
    for seed in range(80):
        noise = torch.randn(scan.kspace.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))
        assert spiking_coil(with_kspace(scan, noise)) is None


def test_copies(clean):
    other = next(iter(PhantomArchive(subjects=1, slices=1, matrix=(N, SAMPLES), coils=COILS, seed=1)))
    noise = torch.randn(clean.kspace.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    again = with_kspace(clean, clean.kspace + 0.01 * clean.kspace[..., :8, :].abs().mean() * noise)
    scans = {
        "a": clean,
        "other": other,
        "scaled": with_kspace(clean, 3e4 * clean.kspace),
        "permuted": with_kspace(clean, clean.kspace.flip(2)),
        "measured again": again,
    }
    assert duplicates({name: signature(scan) for name, scan in scans.items()}) == {"scaled": "a", "permuted": "a"}


def test_small_scans_of_every_shape_do_not_fall(clean):
    for shape in ((1, 1, 1, 8, 8), (1, 2, 3, 20, 4), (1, 1, 2, 6, 8, 10)):
        kspace = torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
        mask = torch.ones(1, shape[1], 1, *shape[3:], dtype=torch.bool)
        scan = replace(clean, kspace=kspace, mask=mask, padding=~mask, noise=None)
        for detect in (*DATA_CRIMES, *CHANNELS):
            detect(scan)
        assert len(signature(scan)) == 64
