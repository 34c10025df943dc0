"""fastMRI 42, fastmri-reproducible-benchmark 17: undersampling with a mask of one's own from a file."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ssrecon.calibrate import Calibrator
from ssrecon.core.errors import BadInput, OutputInUse
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import SSDU
from ssrecon.partition import Lines
from ssrecon.recipe import Recipe
from ssrecon.recipe.overrides import override
from ssrecon.sampling import MaskFile
from ssrecon.store import Data
from ssrecon.store.prepare import prepare_data
from tests.cases.common import columns, fastmri, scan


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two volumes of two slices, 60 lines of 64 samples, and masks: columns, points in the file's order, and columns of another matrix."""
    place = tmp_path_factory.mktemp("case")
    (place / "in").mkdir()
    for volume in range(2):
        fastmri(place / "in" / f"scan{volume}.h5", np.stack([scan(6, 64, 60, 10 * volume + number)[0] for number in range(2)]))
    np.save(place / "mask.npy", columns(60, 4, 14))
    points = np.random.default_rng(2).random((64, 60)) < 0.3
    points[25:39, 23:37] = True
    np.save(place / "points.npy", points)
    np.save(place / "wrong.npy", columns(64, 4, 12))
    return place


def data(folder, pattern):
    return Data(str(folder / "in"), pattern, Calibrator(maps=1))


def test_columns(folder, tmp_path):
    store = prepare_data(data(folder, MaskFile(str(folder / "mask.npy"))), tmp_path)
    expected = torch.from_numpy(columns(60, 4, 14))
    for header in store.headers:
        assert torch.equal(store.load(header.scan_id).scan.mask[0, 0, 0], expected[:, None].expand(60, 64))
        assert store.has_reference(header.scan_id) and header.encoding.has_readout


def test_points_in_the_order_of_the_file(folder, tmp_path):
    pattern = MaskFile(str(folder / "points.npy"), transposed=True)
    store = prepare_data(data(folder, pattern), tmp_path)
    expected = torch.from_numpy(np.load(folder / "points.npy").T.copy())
    assert torch.equal(store.load(store.headers[0].scan_id).scan.mask[0, 0, 0], expected)
    assert not store.headers[0].encoding.has_readout
    with pytest.raises(BadInput, match=r"a mask \(64, 60\); expected \(60, 64\) or \(60,\), .* with transposed=True it would fit"):
        prepare_data(data(folder, replace(pattern, transposed=False)), tmp_path / "other")


def test_a_mask_of_another_matrix_names_both_shapes(folder, tmp_path):
    with pytest.raises(BadInput, match=r"wrong.npy: found a mask \(64,\); expected \(60, 64\) or \(60,\)"):
        prepare_data(data(folder, MaskFile(str(folder / "wrong.npy"))), tmp_path)


def test_command_line_and_hash(folder, tmp_path):
    recipe = Recipe(data(folder, None), Unrolled(ResNet(blocks=1, channels=4), unrolls=1), SSDU(Lines(loss_fraction=0.4)))
    path = tmp_path / "mask.npy"
    np.save(path, columns(60, 4, 14))
    chosen = override(recipe, ["--data.pattern", "MaskFile", "--data.pattern.path", str(path)])
    assert chosen.data.pattern == MaskFile(str(path))
    same = replace(recipe, data=replace(recipe.data, pattern=MaskFile(str(folder / "mask.npy"))))
    assert chosen.hash == same.hash != recipe.hash
    before = chosen.hash
    prepare_data(chosen.data, tmp_path / "store")
    prepare_data(same.data, tmp_path / "store")  # another file that holds the same
    np.save(path, columns(60, 4, 14, seed=1))
    assert replace(chosen).hash != before
    with pytest.raises(OutputInUse, match="with other settings"):
        prepare_data(chosen.data, tmp_path / "store")
