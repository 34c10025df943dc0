"""The expected error beside the image."""

from ssrecon.networks import WithUncertainty
from tests.scans import EXAMPLE, SMALL_NETWORK, make_scan


def test_the_expected_error_never_moves_the_image():
    network = WithUncertainty(SMALL_NETWORK, channels=4).build(0, EXAMPLE)
    network(make_scan()).kspace_std.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in network.inner.parameters())
    assert any(p.grad is not None and p.grad.any() for p in network.head.parameters())
