"""One crop about DC, in every place that crops, for all parities: the object stays where it is, by the pixel."""

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive.cartesian.oversampling import remove_readout_oversampling
from ssrecon.calibrate.scale import low_resolution_image
from ssrecon.core.scan import Header
from ssrecon.core.window import centre_block, crop, window
from ssrecon.evaluation.evaluate_folder import evaluate_folder
from ssrecon.evaluation.pictures import stack_with_borders
from ssrecon.metrics import nmse
from ssrecon.operators import Fourier
from ssrecon.operators.fourier import resample
from ssrecon.sampling.centre import centre_box, region_mask

PAIRS = [(10, 6), (10, 5), (11, 6), (11, 5), (10, 10), (9, 9), (7, 1), (8, 1)]


def point(n, dims=1):
    """1 at the origin of the image, N // 2."""
    image = torch.zeros((n,) * dims, dtype=torch.complex64)
    image[(n // 2,) * dims] = 1
    return image


@pytest.mark.parametrize(("whole", "part"), PAIRS)
class TestTheOriginStays:
    def test_crop(self, whole, part):
        assert torch.equal(crop(point(whole, 2), (part, part)), point(part, 2))
        assert np.array_equal(crop(point(whole).numpy(), (part,)), point(part).numpy())
        assert torch.equal(crop(point(whole, 3), (part,)), crop(point(whole, 3), (whole, whole, part)))

    def test_what_is_shown(self, whole, part):
        header = Header("s", "v", "p", encoded_matrix=(whole, whole), recon_matrix=(part, part))
        assert torch.equal(header.shown(point(whole, 2), 2), point(part, 2))

    def test_readout_oversampling(self, whole, part):
        small = Fourier(1).adjoint(remove_readout_oversampling(Fourier(1)(point(whole)), part))
        torch.testing.assert_close(small, point(part), atol=1e-5, rtol=0)

    def test_the_calibration_region_and_its_low_resolution_image(self, whole, part):
        assert torch.equal(crop(region_mask((whole, 9), (part, 3)), (part, 3)), torch.ones(1, 1, 1, part, 3, dtype=torch.bool))
        region = crop(Fourier(1)(point(whole)), (part,))[None, None, None]
        image = low_resolution_image(region, torch.ones(1, 1, 1, whole, dtype=torch.complex64), (whole,))
        assert int(image[0].argmax()) == whole // 2 or part == 1

    def test_boxes_of_masks(self, whole, part):
        assert centre_block(whole, part) == window((whole,), (part,))[0]
        assert np.array_equal(np.flatnonzero(centre_box((whole,), (part,))), np.arange(whole)[window((whole,), (part,))[0]])

    def test_images_side_by_side_in_a_figure(self, whole, part):
        large, small = (np.abs(point(n, 2).numpy()) for n in (whole, part))
        assert np.array_equal(*stack_with_borders([large, small]))

    def test_resampling_there_and_back(self, whole, part):
        finer = resample(point(part, 2), (whole, whole))
        assert part == 1 or divmod(int(finer.abs().argmax()), whole) == (whole // 2, whole // 2)
        torch.testing.assert_close(resample(finer, (part, part)), point(part, 2), atol=1e-5, rtol=0)
        torch.testing.assert_close(resample(torch.ones(part, dtype=torch.complex64), (whole,)), torch.ones(whole) + 0j)


def test_one_object_on_320_and_on_319_pixels(tmp_path):
    """It was off by one: an NMSE of .195 for identical objects."""
    full = np.random.default_rng(0).random((2, 320, 320), np.float32)
    for name, key, images in (("a", "reconstruction", full), ("b", "reconstruction_rss", full[:, 1:, 1:])):
        (tmp_path / name).mkdir()
        with h5py.File(tmp_path / name / "v.h5", "w") as file:
            file[key] = images
    evaluate_folder(tmp_path / "a", tmp_path / "b", tmp_path / "scores")
    rows = (tmp_path / "scores" / "metrics.csv").read_text().splitlines()
    values = [float(row.split(",")[-1]) for row in rows if ",nmse," in row]
    assert values and max(values) == 0
    assert nmse(crop(full, (319, 319)), full[:, 1:, 1:]) == 0
