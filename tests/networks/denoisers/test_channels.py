"""Complex images as pairs of real channels, and back."""

import pytest
import torch

from ssrecon.networks.denoisers import as_channels, as_image
from tests.laws.operators import random_like


@pytest.mark.parametrize(("frames", "maps"), [(1, 1), (3, 1), (1, 2), (3, 2)])
def test_channels_and_back(frames, maps):
    image = random_like((2, frames, maps, 5, 6), 0)
    channels = as_channels(image)
    assert channels.shape == (2 * frames, 2 * maps, 5, 6)
    torch.testing.assert_close(channels[frames, 1], image[1, 0, 0].imag)
    torch.testing.assert_close(as_image(channels, like=image), image)


def test_one_map_set_enters_channels_last_without_a_copy():
    image = random_like((2, 1, 1, 5, 6), 0)
    channels = as_channels(image)
    assert channels.is_contiguous(memory_format=torch.channels_last)
    assert channels.data_ptr() == image.data_ptr()
