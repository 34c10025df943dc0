"""Masks of one's own: kinds of files, shapes, one a volume or a frame, and what does not fit."""

from dataclasses import dataclass, replace

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat

from ssrecon.core.description import digest
from ssrecon.core.draw import Draw
from ssrecon.core.encoding import GridPoints, HybridSlice, WholeLines
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Header, Scan
from ssrecon.sampling import MaskFile, Pattern, undersample
from tests.archive.mrd.lines import complex_noise

PHASE, READOUT = 12, 10


def make(shape=(PHASE, READOUT), frames=1, volume="file1000001", padding=0) -> Scan:
    mask = torch.ones(1, frames, 1, *shape, dtype=torch.bool)
    if padding:
        mask[..., :padding, :] = mask[..., shape[-2] - padding :, :] = False
    kspace = torch.where(mask, torch.from_numpy(complex_noise(1, frames, 3, *shape)), 0)
    return Scan(Header(f"{volume}/slice-000", volume, "s"), kspace, mask, ~mask)


def columns(n=PHASE, step=3):
    return np.arange(n) % step == 0


def points(shape=(PHASE, READOUT), seed=0):
    return np.random.default_rng(seed).random(shape) < 0.4


def saved(path, array):
    np.save(path, array)
    return MaskFile(str(path))


def kept(scan, pattern):
    return undersample(scan, pattern, Draw(0))


def whole(mask, scan):
    return torch.from_numpy(np.broadcast_to(mask, scan.mask.shape).copy())


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float64])
def test_columns(tmp_path, kind):
    scan = make(frames=2)
    found = kept(scan, saved(tmp_path / "m.npy", columns().astype(kind)))
    assert torch.equal(found.mask, whole(columns()[:, None], scan)) and found.header.encoding == WholeLines()
    assert torch.equal(found.reference, scan.kspace) and not found.kspace[~found.mask.expand_as(found.kspace)].any()


def test_points(tmp_path):
    scan = make()
    found = kept(scan, saved(tmp_path / "m.npy", points()))
    assert torch.equal(found.mask, whole(points(), scan)) and found.header.encoding == GridPoints()


def test_one_mask_a_frame(tmp_path):
    scan = make(frames=4)
    many = np.stack([points(seed=t) for t in range(4)])
    assert torch.equal(kept(scan, saved(tmp_path / "m.npy", many)).mask[0, :, 0], torch.from_numpy(many))
    lines = np.stack([np.roll(columns(), t) for t in range(4)])
    found = kept(scan, saved(tmp_path / "m.npy", lines))
    assert torch.equal(found.mask[0, :, 0, :, 3], torch.from_numpy(lines)) and found.header.encoding == WholeLines()


def test_three_dimensions(tmp_path):
    scan = make((6, PHASE, READOUT))
    partitions, volume = points((6, PHASE)), points((6, PHASE, READOUT))
    assert torch.equal(kept(scan, saved(tmp_path / "m.npy", partitions)).mask, whole(partitions[..., None], scan))
    assert torch.equal(kept(scan, saved(tmp_path / "m.npy", columns())).mask, whole(columns()[:, None], scan))
    found = kept(scan, saved(tmp_path / "m.npy", volume))
    assert torch.equal(found.mask, whole(volume, scan)) and found.header.encoding == GridPoints()


def test_the_matrix_or_its_encoded_part(tmp_path):
    """With two padded lines on either side; what a mask says of padding counts for nothing."""
    scan = make(padding=2)
    outer, inner = columns(PHASE), columns(PHASE - 4)
    assert torch.equal(kept(scan, saved(tmp_path / "m.npy", outer)).mask, whole(outer[:, None], scan) & ~scan.padding)
    found = kept(scan, saved(tmp_path / "m.npy", inner)).mask[0, 0, 0, :, 0]
    assert torch.equal(found[2:-2], torch.from_numpy(inner)) and not found[:2].any()


@pytest.mark.parametrize("suffix", ["npz", "h5", "mat", "v73.mat"])
def test_one_mask_a_volume_by_its_name(tmp_path, suffix):
    masks = {name: points(seed=seed) for seed, name in enumerate(("file1000001", "file1000002"))}
    path = tmp_path / f"masks.{suffix}"
    if suffix == "npz":
        np.savez(path, **masks)
    elif suffix == "mat":
        savemat(path, {name: mask.T for name, mask in masks.items()})  # MATLAB's order: the readout first
    else:
        with h5py.File(path, "w", userblock_size=512 if suffix == "v73.mat" else 0) as file:
            file.create_group("#refs#")["0"] = np.ones(3)
            for name, mask in masks.items():
                file[name] = mask
    for name, mask in masks.items():
        for volume in (name, f"group/{name}"):
            assert torch.equal(kept(make(volume=volume), MaskFile(str(path))).mask[0, 0, 0], torch.from_numpy(mask))
    with pytest.raises(BadInput, match=r"2 arrays \(it holds file1000001, file1000002\); expected one, one called file1000003"):
        kept(make(volume="file1000003"), MaskFile(str(path)))
    chosen = kept(make(volume="file1000003"), MaskFile(str(path), variable="file1000002"))
    assert torch.equal(chosen.mask[0, 0, 0], torch.from_numpy(masks["file1000002"]))


def test_the_mask_of_a_fastmri_file_is_found(tmp_path):
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["kspace"], file["mask"], file["reconstruction_rss"] = complex_noise(2, 2), points().T, np.ones((4, 4), np.float32)
    found = kept(make(), MaskFile(str(tmp_path / "v.h5"), transposed=True))
    assert torch.equal(found.mask[0, 0, 0], torch.from_numpy(points()))


def test_transposed_frames(tmp_path):
    many = np.stack([points(seed=t) for t in range(4)])
    pattern = replace(saved(tmp_path / "m.npy", many.swapaxes(1, 2)), transposed=True)
    assert torch.equal(kept(make(frames=4), pattern).mask[0, :, 0], torch.from_numpy(many))


@pytest.mark.parametrize(
    ("mask", "found", "expected"),
    [
        (columns(16), "a mask (16,)", "(12, 10) or (12,), as scan file1000001/slice-000 (12x10, 1 frame) has it"),
        (points((10, 12)), "a mask (10, 12)", "with transposed=True it would fit"),
        (points((3, 12, 10)), "a mask (3, 12, 10)", "(12, 10)"),
        (np.array([0.5, np.nan] * 6), "not finite", "0 and 1"),
        (np.zeros(12), "keeps nothing", "at least one sample"),
    ],
)
def test_what_does_not_fit_names_both_shapes(tmp_path, mask, found, expected):
    with pytest.raises(BadInput) as caught:
        kept(make(), saved(tmp_path / "m.npy", mask))
    assert found in caught.value.found and expected in caught.value.expected


def test_a_mask_that_fits_in_two_ways_is_refused(tmp_path):
    """(12, 10) may be 12 frames of columns or one mask of points."""
    with pytest.raises(BadInput, match="fits in 2 ways; expected a mask"):
        kept(make((10, 10), frames=10), saved(tmp_path / "m.npy", points((10, 10))))


@pytest.mark.parametrize("content", [None, b"", b"no mask at all", b"\x93NUMPY\x01\x00cut"])
def test_files_that_are_none(tmp_path, content):
    path = tmp_path / "m.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match="no readable mask") as caught:
        kept(make(), MaskFile(str(path)))
    assert str(path) == caught.value.where


def test_the_file_s_content_is_in_the_hash(tmp_path):
    one, same, other = (saved(tmp_path / f"{name}.npy", array) for name, array in (("a", points()), ("b", points()), ("c", points(seed=1))))
    assert digest(one) == digest(same) != digest(other)


@dataclass(frozen=True)
class Mine(Pattern):
    """A pattern of a user's own."""

    shape: tuple[int, ...]

    def sample(self, matrix, generator, readout=True):
        return np.ones(self.shape, np.uint8)


def test_one_s_own_pattern_is_checked(tmp_path):
    assert kept(make(), Mine((PHASE, READOUT))).mask.all()
    with pytest.raises(BadInput, match=r"Mine: found a mask \(64,\); expected \(12, 10\), the encoded matrix of scan file1000001"):
        kept(make(), Mine((64,)))


def test_what_has_no_readout_stays_what_it_is(tmp_path):
    """A hybrid slice is one however it is undersampled."""
    scan = make()
    scan = replace(scan, header=replace(scan.header, encoding=HybridSlice(3, 7)))
    assert kept(scan, saved(tmp_path / "m.npy", points())).header.encoding == HybridSlice(3, 7)
