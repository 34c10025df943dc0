"""The unrolled network: its size, its gradients, its solves, and what it refuses."""

from dataclasses import replace

import pytest
import torch

from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.networks import CNN, ResNet, Unrolled
from ssrecon.operators import sense
from tests.laws.operators import random_like
from tests.scans import EXAMPLE, SMALL_NETWORK, make_scan


def count(spec):
    return sum(parameter.numel() for parameter in spec.build(seed=0, example=EXAMPLE).parameters())


def test_published_parameter_counts():
    assert count(Unrolled(ResNet(blocks=15, channels=64, tied=True))) == 592_129
    assert count(Unrolled(ResNet(blocks=15, channels=64))) == 1_145_089
    assert count(Unrolled(CNN(layers=5, channels=64))) == 113_413


@pytest.mark.parametrize(("frames", "maps"), [(1, 1), (3, 2)])
def test_shapes_and_gradients(frames, maps):
    network = replace(SMALL_NETWORK, maps=maps).build(0, EXAMPLE)
    image = network(make_scan(frames=frames, maps=maps)).image
    assert image.shape == (1, frames, maps, 32, 32)
    image.abs().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_same_seed_same_weights_without_touching_torchs_generator():
    before = torch.get_rng_state()
    first, second, other = SMALL_NETWORK.build(3, EXAMPLE), SMALL_NETWORK.build(3, EXAMPLE), SMALL_NETWORK.build(4, EXAMPLE)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.denoisers[0].first.weight, other.denoisers[0].first.weight)


def test_a_zero_denoiser_leaves_regularised_cg_sense():
    scan = make_scan()
    network = replace(SMALL_NETWORK, unrolls=1, cg_iterations=40).build(0, EXAMPLE)
    torch.nn.init.zeros_(network.denoisers[0].last.weight)
    x = network(scan).image
    operator = sense(scan.mask, scan.csm)
    torch.testing.assert_close(operator.gram(x) + 0.05 * x, operator.adjoint(scan.kspace), atol=1e-5, rtol=1e-4)


def test_recomputing_changes_memory_and_not_gradients():
    scan, grads = make_scan(), []
    for recompute in (False, True):
        network = replace(SMALL_NETWORK, recompute=recompute).build(0, EXAMPLE)
        network(scan).image.abs().sum().backward()
        grads.append([p.grad for p in network.parameters()])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_unshared_unrolls_have_their_own_weights():
    assert count(replace(SMALL_NETWORK, shared=False)) - 1 == 2 * (count(SMALL_NETWORK) - 1)


def test_mixed_precision_stays_close_and_keeps_kspace_in_single_precision():
    scan = make_scan()
    full, mixed = SMALL_NETWORK.build(0, EXAMPLE)(scan).image, replace(SMALL_NETWORK, mixed_precision=True).build(0, EXAMPLE)(scan).image
    assert mixed.dtype == torch.complex64
    assert 0 < torch.linalg.vector_norm(full - mixed) / torch.linalg.vector_norm(full) < 0.05


def test_known_padding_is_data_only_on_request():
    scan = make_scan()
    padding = torch.zeros_like(scan.mask)
    padding[..., 1, :] = ~scan.mask[..., 1, :]
    padded = replace(scan, padding=padding)
    assert torch.equal(SMALL_NETWORK.build(0, EXAMPLE)(padded).image, SMALL_NETWORK.build(0, EXAMPLE)(scan).image)
    assert not torch.equal(
        replace(SMALL_NETWORK, padding_is_known=True).build(0, EXAMPLE)(padded).image, SMALL_NETWORK.build(0, EXAMPLE)(scan).image
    )


def test_the_example_says_how_many_map_sets_there_are():
    scan = make_scan(maps=2)
    by_example, by_setting = SMALL_NETWORK.build(0, scan), replace(SMALL_NETWORK, maps=2).build(0, EXAMPLE)
    assert torch.equal(by_example(scan).image, by_setting(scan).image)
    with pytest.raises(BadInput, match="found 1 sets of sensitivity maps; expected 2"):
        by_example(make_scan())


def test_wrong_number_of_map_sets_is_refused():
    with pytest.raises(BadInput, match="phantom/slice-000: found 2 sets of sensitivity maps; expected 1"):
        SMALL_NETWORK.build(0, EXAMPLE)(make_scan(maps=2))


def test_what_is_no_denoiser_is_refused():
    with pytest.raises(BadRecipe, match="Unrolled.denoiser: found Unrolled; expected a denoiser"):
        Unrolled(Unrolled())


def test_a_warm_start_leaves_what_was_not_acquired_to_the_denoiser():
    """One unroll whose denoiser is the identity, where nothing is acquired but DC: started at z the rest of x stays, started at zero and
    after one iteration it is still short of it."""
    scan = make_scan()
    ideal = scan.on(torch.zeros_like(scan.mask))  # b = mu z: the solution is z itself
    image = random_like((1, 1, 1, 32, 32), 0)
    for warm_start, expected in ((True, image), (False, torch.zeros_like(image))):
        network = replace(SMALL_NETWORK, unrolls=1, cg_iterations=1, mu=0.0, warm_start=warm_start).build(0, EXAMPLE)
        network._denoise = lambda x, denoiser: image
        torch.testing.assert_close(network(ideal).image, expected)


def test_started_anywhere_the_solve_converges_to_the_same_image():
    scan = make_scan()
    cold, warm = (
        replace(SMALL_NETWORK, cg_iterations=60, warm_start=warm_start).build(0, EXAMPLE)(scan).image for warm_start in (False, True)
    )
    torch.testing.assert_close(cold, warm, rtol=1e-4, atol=1e-5)
    implicit = replace(SMALL_NETWORK, cg_iterations=60, warm_start=True, implicit_backward=True).build(0, EXAMPLE)(scan).image
    torch.testing.assert_close(implicit, warm)


@pytest.mark.parametrize(("warm_start", "grams"), [(False, 3), (True, 4)])
def test_operator_calls_of_a_step(monkeypatch, warm_start, grams):
    """Exactly unrolls x CG iterations grams forward and as many backward; a warm start is one more each."""
    import sys

    module = sys.modules["ssrecon.operators.encoding"]
    calls = []
    original = module._gram
    monkeypatch.setattr(module, "_gram", lambda *a: calls.append(1) or original(*a))
    image = replace(SMALL_NETWORK, warm_start=warm_start).build(0, EXAMPLE)(make_scan()).image
    assert len(calls) == 2 * grams
    image.abs().sum().backward()
    assert len(calls) == 2 * 2 * grams
