from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.calibrate import Calibrator
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.operators import Fourier
from ssrecon.sampling import RandomColumns, undersample
from ssrecon.simulation import ComplexImages
from ssrecon.store import prepare


def example(folder):
    path = folder / "brains.h5"
    rng = np.random.default_rng(0)
    smooth = rng.standard_normal((3, 6, 5)) + 1j * rng.standard_normal((3, 6, 5))
    images = np.kron(smooth, np.ones((4, 4))).astype(np.complex64)
    with h5py.File(path, "w") as file:
        file["image"] = images
    return path


def test_coils_of_unit_norm_give_the_image_back(tmp_path):
    archive = ComplexImages(example(tmp_path), coils=4, noise=0.0)
    with h5py.File(archive.path) as file:
        image = torch.from_numpy(file["image"][1])
    coil_images = Fourier(2).adjoint(archive.read(archive.headers[1].scan_id).kspace)[0, 0]
    combined = torch.linalg.vector_norm(coil_images, dim=0)
    assert torch.linalg.vector_norm(combined - image.abs()) < 0.1 * torch.linalg.vector_norm(image.abs())


def test_every_image_is_its_own_subject(tmp_path):
    assert len({header.subject for header in open_archive(example(tmp_path)).headers}) == 3


@pytest.mark.parametrize("kind", [str, Path])
def test_a_store_is_prepared_from_a_path_however_it_is_written(tmp_path, kind):
    path = example(tmp_path)
    archive = ComplexImages(kind(path), coils=4)
    assert archive.files(archive.headers[0].volume_id) == (path,)
    store = prepare(archive, tmp_path / "store", Calibrator(), RandomColumns(2, 12))
    assert len(store) == 3 and store.kind == "semi-synthetic" and all(header.content for header in store.headers)


def test_anything_else_is_refused(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["image"] = np.ones((4, 4))
    with pytest.raises(BadInput, match="other.h5: found no complex dataset"):
        _ = ComplexImages(path).headers


def test_noise_and_masks_depend_on_the_images_and_not_on_their_name(tmp_path, monkeypatch):
    """`complex_brains_t2.h5` is not a harmless name: its noise and its masks depended on the key of whoever ran it."""
    path, scans = example(tmp_path), []
    for key, name in (("a", "complex_brains_t2.h5"), ("b", "complex_brains_t2.h5"), ("b", "brain1.h5")):
        monkeypatch.setenv("SSRECON_KEY_FILE", str(tmp_path / key))
        path = path.rename(tmp_path / name)
        for archive in (open_archive(path), ComplexImages(path)):
            scans.append([undersample(scan, RandomColumns(2, 4), Draw(0)) for scan in archive])
    for other in scans[1:]:
        for one, two in zip(scans[0], other, strict=True):
            assert one.kspace.equal(two.kspace) and one.noise.equal(two.noise) and one.mask.equal(two.mask)
    assert not scans[0][0].noise.equal(scans[0][1].noise)
