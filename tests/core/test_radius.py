"""The distance from the centre of k-space, by which patterns, partitions, detectors and scores go."""

import numpy as np
import pytest

from ssrecon.core.radius import largest_offset, radius


@pytest.mark.parametrize("shape", [(9,), (8, 5), (4, 7, 6)])
def test_radius(shape):
    grids = np.meshgrid(*[np.arange(n) - n // 2 for n in shape], indexing="ij")
    ends = [n // 2 for n in shape]
    assert np.allclose(radius(shape), np.sqrt(sum((g / e) ** 2 for g, e in zip(grids, ends, strict=True))))
    rms = np.sqrt(np.mean([(g / (e + 1)) ** 2 for g, e in zip(grids, ends, strict=True)], axis=0))
    below_one = radius(shape, reach=[e + 1 for e in ends], mean=True)
    assert np.allclose(below_one, rms) and below_one.max() < 1
    assert np.allclose(largest_offset(shape), np.max([np.abs(g / e) for g, e in zip(grids, ends, strict=True)], axis=0))


def test_another_centre():
    assert np.allclose(radius((4, 3), reach=(2, 1), centre=(1.5, 0))[:, 0], [0.75, 0.25, 0.25, 0.75])
    assert np.allclose(radius((4, 3), reach=(1, 1), centre=(0, 0))[3, 2], np.hypot(3, 2))


def test_an_axis_of_one_place():
    assert radius((1, 5))[0].tolist() == [1, 0.5, 0, 0.5, 1]
