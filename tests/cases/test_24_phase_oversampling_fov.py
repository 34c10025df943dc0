"""MRIReco.jl 239 with the header of ismrmrd 131: the scanner oversamples and interpolates; which field of view does an image have?"""

import pytest
import torch

from ssrecon.archive import open_archive
from tests.cases.common import mrd, scan, xml

CASES = {
    "no_interp": ((128, 96, 1), (64, 64, 1), (400, 300, 5), (200, 200, 5)),
    "interp": ((128, 96, 1), (128, 128, 1), (400, 300, 5), (200, 200, 5)),
    "issue131": ((128, 114, 1), (128, 216, 1), (460, 204.54, 7.5), (230, 194.06, 5)),
}


@pytest.mark.parametrize("name", list(CASES))
def test_images_are_cropped_to_the_field_of_view(tmp_path, name):
    encoded, recon, encoded_fov, recon_fov = CASES[name]
    kspace, _, _ = scan(6, encoded[1], encoded[0], 4)
    lines = [dict(data=kspace[:, y], step=y, flags=[25] if y == encoded[1] - 1 else []) for y in range(encoded[1])]
    header = open_archive(mrd(tmp_path / f"{name}.mrd", xml(encoded, recon, encoded_fov, recon_fov), lines)).headers[0]
    pixel = encoded_fov[1] / encoded[1], encoded_fov[0] / encoded[0]
    expected = tuple(round(side / size) for side, size in zip((recon_fov[1], recon_fov[0]), pixel, strict=True))
    assert expected == {"no_interp": (64, 64), "interp": (64, 64), "issue131": (108, 64)}[name]
    assert header.encoded_matrix == (encoded[1], expected[1])  # the readout's oversampling is gone already
    assert header.shown_matrix(header.encoded_matrix) == expected
    assert header.shown(torch.zeros(1, *header.encoded_matrix), 2).shape == (1, *expected)
    assert header.geometry.voxel_size == pytest.approx((encoded_fov[2], *pixel))
