"""How many map sets a volume has."""

from dataclasses import replace

import torch

from ssrecon.archive import open_archive
from ssrecon.calibrate import Calibrator
from ssrecon.simulation import PhantomArchive


def test_two_map_sets(volume):
    item = Calibrator(maps=2).volume(volume[:1])[0]
    assert item.scan.csm.shape == (1, 2, 6, 64, 64) and item.truth.shape == (1, 1, 2, 64, 64)


def test_the_number_of_map_sets_is_found_once_a_volume():
    """Every second line folds the object, and two map sets are needed; one where it lies inside the field of view."""
    whole = list(PhantomArchive(subjects=1, slices=3, matrix=(128, 128), coils=6))
    lines = (slice(None), slice(None), slice(None), slice(0, None, 2))
    folded = [
        replace(scan, kspace=scan.kspace[lines], mask=scan.mask[lines], padding=scan.padding[lines], reference=None, truth=None)
        for scan in whole
    ]
    for scans, sets, said in ((whole, 1, "within"), (folded, 2, "larger than")):
        prepared = Calibrator(maps=None).volume(scans)
        assert {item.scan.csm.shape[1] for item in prepared} == {sets}
        assert all(said in item.scan.headers[0].notes["maps"] for item in prepared)
        same = Calibrator(maps=sets).volume(scans)
        assert all(torch.equal(a.scan.csm, b.scan.csm) for a, b in zip(prepared, same, strict=True))
    alone = [replace(scan, kspace=scan.kspace[:, :, :1], noise=None, truth=None) for scan in whole]
    assert {item.scan.csm.shape[1] for item in Calibrator(maps=None).volume(alone)} == {1}


def test_measured_brains_need_one_map_set(test_data):
    for name in ("brain_d.h5", "brain_f.h5"):
        (scan,) = open_archive(test_data / "brain" / name)
        assert Calibrator(maps=None).volume([scan])[0].scan.csm.shape[1] == 1
