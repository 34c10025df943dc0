import json
import warnings
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive.fastmri.writer import write_fastmri
from ssrecon.baselines import CGSense, ZeroFilled
from ssrecon.calibrate import Calibrator
from ssrecon.core.errors import BadInput, NoCalibration, OutputInUse
from ssrecon.core.scan import Estimate
from ssrecon.operators import Fourier
from ssrecon.privacy.pseudonyms import pseudonym
from ssrecon.reconstruction.domain import DomainWarning, TrainingDomain
from ssrecon.reconstruction.engine import own_units
from ssrecon.reconstruction.reconstruct import reconstruct
from tests.scans import full_kspace, make_scan

SHAPE = (64, 80)
"""Phase, readout."""
UNITS = 3e-5
"""Of the made files: far from 1, as real ones are."""


def kspace(slices=2, noise_std=0.005, coils=4):
    return UNITS * torch.cat([full_kspace(SHAPE, coils, 1, 1, noise_std, seed)[0] for seed in range(slices)])


def lines(acceleration=3):
    mask = np.zeros(SHAPE[0], dtype=bool)
    mask[::acceleration] = True
    mask[20:44] = True
    return mask


def write(folder, name="vol.h5", **options):
    return write_fastmri(folder / name, kspace(), subject="someone", acquisition="T1", recon_matrix=(48, 60), mask=lines(), **options)


def rss(data):
    return torch.linalg.vector_norm(Fourier(2).adjoint(data), dim=1).mT.numpy()


def read(path, name="reconstruction"):
    with h5py.File(path) as file:
        return file[name][()]


def test_fastmris_layout_orientation_crop_and_units(tmp_path):
    """Rows along the readout, cropped to the reconstruction matrix, and comparable with the root sum of squares of the file itself."""
    (result,) = reconstruct(CGSense(0.0, 15), write(tmp_path), tmp_path / "out")
    assert result.path == tmp_path / "out" / "vol.h5" and result.error is None
    images = read(result.path)
    assert images.shape == (2, 60, 48) and images.dtype == np.float32
    expected = rss(kspace())[:, 10:70, 8:56]
    assert ((images - expected) ** 2).sum() / (expected**2).sum() < 0.02


def test_a_marked_pixel_stays_where_it_is(tmp_path):
    """Through the whole path: a bright point off the centre, off the diagonal."""
    image = torch.zeros(1, 4, *SHAPE, dtype=torch.complex64)
    image[:, :, 25, 61] = 50
    noise = torch.complex(*torch.randn(2, 1, 4, *SHAPE, generator=torch.Generator().manual_seed(0)))
    write_fastmri(tmp_path / "point.h5", Fourier(2)(image) + kspace(1) / UNITS + 0.01 * noise, recon_matrix=(48, 60))
    (result,) = reconstruct(ZeroFilled(), tmp_path / "point.h5", tmp_path / "out")
    images = read(result.path)
    assert np.unravel_index(images[0].argmax(), images[0].shape) == (61 - 10, 25 - 8)


def test_complex_images_have_the_same_magnitude(tmp_path):
    (result,) = reconstruct(CGSense(), write(tmp_path), tmp_path / "out", complex_images=True)
    values = read(result.path, "reconstruction_complex")
    assert values.dtype == np.complex64
    np.testing.assert_allclose(abs(values), read(result.path), rtol=1e-4, atol=1e-9)
    assert np.angle(values[abs(values) > 0.2 * abs(values).max()]).std() > 0.05


def test_two_sets_of_maps_and_virtual_coils_keep_the_units(tmp_path):
    path = write(tmp_path)
    (plain,) = reconstruct(CGSense(), path, tmp_path / "plain")
    (soft,) = reconstruct(CGSense(), path, tmp_path / "soft", True, calibrator=Calibrator(maps=2, coils=3))
    assert read(soft.path, "reconstruction_complex").shape == (2, 1, 2, 60, 48)
    a, b = read(plain.path), read(soft.path)
    assert 0.9 < np.linalg.norm(b) / np.linalg.norm(a) < 1.1


def test_provenance_is_in_the_file(tmp_path):
    (result,) = reconstruct(CGSense(), write(tmp_path), tmp_path / "out")
    with h5py.File(result.path) as file:
        about = json.loads(file.attrs["provenance"])
        assert file.attrs["patient_id"] == pseudonym("someone") and file.attrs["acquisition"] == "T1"
        assert file.attrs["max"] == pytest.approx(file["reconstruction"][()].max())
    assert about["versions"]["torch"] and about["noise_source"] and about["unlike_training"] == []
    assert str(tmp_path) not in json.dumps(about)


def test_one_bad_volume_of_a_folder_does_not_stop_the_rest(tmp_path):
    scans = tmp_path / "scans"
    write(scans, "a.h5")
    write(scans, "d.h5")
    write_fastmri(scans / "b.h5", kspace(1), mask=np.arange(SHAPE[0]) % 4 == 0)
    (scans / "c.h5").write_bytes(b"\x89HDF\r\n\x1a\n but then nothing")
    results = {result.source: result for result in reconstruct(CGSense(), scans, tmp_path / "out")}
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.h5", "d.h5"]
    assert results["a"].error is None and results["d"].error is None
    assert "calibration" in results["b"].error and results["b"].path is None
    assert "c.h5" in results and results["c.h5"].error


def test_a_single_bad_scan_is_an_error_of_its_own_kind(tmp_path):
    path = write_fastmri(tmp_path / "b.h5", kspace(1), mask=np.arange(SHAPE[0]) % 4 == 0)
    with pytest.raises(NoCalibration, match="b/slice-000"):
        reconstruct(CGSense(), path, tmp_path / "out")
    with pytest.raises(BadInput, match="no such file"):
        reconstruct(CGSense(), tmp_path / "missing.h5", tmp_path / "out")


def test_raw_data_are_never_written_over(tmp_path):
    path = write(tmp_path)
    before = path.read_bytes()
    with pytest.raises(OutputInUse):
        reconstruct(CGSense(), path, tmp_path)
    assert path.read_bytes() == before
    reconstruct(CGSense(), path, tmp_path / "out")
    reconstruct(CGSense(), path, tmp_path / "out")  # an earlier reconstruction is


def test_an_image_that_is_not_finite_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(BadInput, match="vol/slice-000.*not finite"):
        reconstruct(lambda scan: Estimate(ZeroFilled()(scan).image * torch.nan), write(tmp_path), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_a_scan_unlike_the_training_is_warned_of_and_noted(tmp_path):
    domain = TrainingDomain.of([replace(make_scan(coils=12), scale=torch.tensor([1e5]))])
    with pytest.warns(DomainWarning, match="vol.*4 coils; trained on 12"):
        (result,) = reconstruct(CGSense(), write(tmp_path), tmp_path / "out", domain=domain)
    assert result.path is not None and any("scale" in sentence for sentence in result.warnings)
    with h5py.File(result.path) as file:
        assert json.loads(file.attrs["provenance"])["unlike_training"] == list(result.warnings)


def test_the_networks_own_domain_is_used_and_a_scan_like_it_is_not_warned_of(tmp_path):
    path, seen = write(tmp_path), []

    def spy(scan):
        seen.append(scan)
        return CGSense()(scan)

    reconstruct(spy, path, tmp_path / "first")

    class Trained(SimpleNamespace):
        def __call__(self, scan):
            return CGSense()(scan)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reconstruct(Trained(domain=TrainingDomain.of(seen)), path, tmp_path / "second")
    with pytest.warns(DomainWarning):
        reconstruct(Trained(domain=TrainingDomain.of([make_scan(coils=12)])), path, tmp_path / "third")


def test_brain_d_compares_with_the_files_own_images(test_data, tmp_path):
    path = test_data / "brain" / "brain_d.h5"
    (result,) = reconstruct(CGSense(0.0, 10), path, tmp_path)
    expected, images = read(path, "reconstruction_rss"), read(result.path)
    assert images.shape == expected.shape
    inside = images > 0
    assert ((images - expected)[inside] ** 2).sum() / (expected[inside] ** 2).sum() < 0.01


def test_a_trained_network_brings_its_calibrator(tmp_path):
    """That of the store it was trained on, which may not be the recipe's."""
    seen = []

    class Network:
        calibrator = Calibrator(coils=3)

        def __call__(self, scan):
            seen.append(scan.kspace.shape[2])
            return ZeroFilled()(scan)

    reconstruct(Network(), write(tmp_path), tmp_path / "out")
    assert seen == [3, 3]


def test_own_units_are_of_the_csm_that_came_with_the_image():
    scan = make_scan()
    image, calibration = CGSense(0.01, 10)(scan).image, SimpleNamespace(matrix=torch.eye(4), scale=3.0)
    given = own_units(Estimate(image), scan, calibration)
    own = own_units(Estimate(image / 2, csm=2 * scan.csm), scan, calibration)
    for one, other in zip(given, own, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(given[0], 3 * Estimate(image).magnitude, rtol=1e-4, atol=1e-4)
