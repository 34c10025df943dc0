"""riesling 23, MDF 70: attributes that are arrays of one element, as MATLAB writes them, in files of the plain layout."""

import h5py
import numpy as np
import pytest

from ssrecon.archive import open_archive
from ssrecon.archive.plain import Plain
from ssrecon.core.errors import BadInput
from tests.cases.common import scan

SAID = {
    "bytes": ("ssrecon", 1, np.bytes_("slice coil y x")),
    "arrays": (np.array([b"ssrecon"]), np.array([1.0]), np.array([b"slice coil y x"])),
    "matrices": (np.array([[b"ssrecon"]]), np.array([[1]]), np.array([[b"slice coil y x"]])),
    "axes": ("ssrecon", 1, np.array([b"slice coil y x"])),
    "double": ("ssrecon", 1.0, "slice coil y x"),
}


@pytest.fixture(scope="module")
def kspace():
    """(slice, coil, y, x)"""
    return np.stack([np.swapaxes(scan(4, 64, 60, seed)[0], -1, -2) for seed in range(2)])


@pytest.mark.parametrize("name", SAID)
def test_one_element_is_that_element(tmp_path, kspace, name):
    layout, version, axes = SAID[name]
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.attrs["layout"], file.attrs["version"], file.attrs["contrast"] = layout, version, np.array([b"T2"])
        file.attrs["field_strength"] = np.array([[3.0]])
        file["kspace"] = kspace
        file["kspace"].attrs["axes"] = axes
    archive = open_archive(tmp_path / "v.h5")
    assert isinstance(archive.reader, Plain) and archive.headers[0].contrast == "T2" and archive.headers[0].field_strength == 3
    assert np.array_equal(archive.read("v/slice-001").kspace[0, 0].numpy(), kspace[1])


def test_several_elements_and_other_orders_are_refused(tmp_path, kspace):
    for number, axes in enumerate((["slice", "coil", "y", "x"], "x y coil slice")):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.attrs["layout"], file.attrs["version"], file["kspace"] = "ssrecon", 1, kspace
            file["kspace"].attrs["axes"] = axes
        with pytest.raises(BadInput, match="expected axes '"):
            _ = open_archive(tmp_path / f"{number}.h5").headers


def test_a_header_in_an_array_of_one_text(tmp_path, kspace):
    from tests.cases.common import fastmri, xml

    header = np.array([xml((60, 64, 1), (60, 64, 1)).encode()], dtype=object)
    path = fastmri(tmp_path / "f.h5", kspace.swapaxes(-1, -2), patient_id=np.array([b"volunteer-1"]), max=np.array([2.5]))
    with h5py.File(path, "a") as file:
        file.create_dataset("ismrmrd_header", data=header, dtype=h5py.string_dtype())
    found = open_archive(path).headers[0]
    assert found.subject == "volunteer-1" and found.volume_max == 2.5 and found.recon_fov == (64.0, 60.0)
