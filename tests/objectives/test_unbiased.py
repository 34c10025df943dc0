"""Claims of unbiasedness, checked by exact expectation; and those that fail by design, shown failing."""

from dataclasses import replace

import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.objectives import ENSURE, SSDU, SURE, KWeighted, Noise2Noise, RobustSSDU
from ssrecon.objectives.distances import MeanSquare
from ssrecon.sampling import Density, Sampling
from tests.objectives.enumerated import Fixed, estimate, every_subset, gaussian, tiny_scan
from tests.scans import loss_of, reconstruction_of

SHAPE = (2, 3)
N = 6
TRUTH = torch.randn(1, 1, *SHAPE, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
P = torch.tensor([[1.0, 0.8, 0.5], [0.25, 0.6, 0.0]], dtype=torch.float64)
INCLUSION = torch.tensor([[0.5, 0.1, 0.4], [0.5, 0.7, 0.3]], dtype=torch.float64)
"""P(in Lambda | in Omega): location (0, 0) is always acquired, location (1, 2) never."""


def sampling_of(p):
    return Sampling({SHAPE: Density((p.numpy() > 0,), p.numpy(), 0.0, False)})


def network(strength):
    """Nonlinear in what it is given, and dependent on where that is: everything a proof must not assume away."""

    def f(scan):
        seen = scan.mask.double()
        mixed = torch.tanh(scan.kspace.real.sum(dim=(-2, -1), keepdim=True)) + 0.3j * seen.sum(dim=(-2, -1), keepdim=True)
        return estimate(strength * mixed * (1 + torch.arange(N, dtype=torch.float64).reshape(SHAPE)) + 0.5 * scan.kspace)

    return f


def expected(objective, f, p=P, inclusion=INCLUSION):
    """Over all acquisitions and all partitions of each."""
    total = 0.0
    for omega, weight in every_subset(p):
        scan = tiny_scan(TRUTH, omega)
        for chosen, chance in every_subset(torch.where(omega, inclusion, 0.0)):
            if chosen.any():  # without a held-out sample the loss is 0
                split = replace(objective, partitioner=Fixed(chosen, inclusion))
                if isinstance(objective, KWeighted):
                    split = split.knowing(objective.known)
                value = loss_of(split, f, scan, None, Draw(0)).mean
                total += weight * chance * float(value)
    return total


def supervised(f, p=P, inclusion=INCLUSION):
    """The squared error against the full truth on all that the network was not given and that is ever acquired."""
    total = 0.0
    for theta, weight in every_subset(p * (1 - inclusion)):
        image = f(tiny_scan(TRUTH, theta)).image
        error = (
            torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(image, dim=(-2, -1)), norm="ortho"), dim=(-2, -1)) - TRUTH
        ).abs() ** 2
        total += weight * float(error[0, 0, 0][~theta & (p > 0)].sum()) / N
    return total


def test_the_expectation_of_the_k_weighted_loss_is_the_supervised_one():
    objective = KWeighted(cap=1e3).knowing(sampling_of(P))
    for strength in (0.0, 0.2, 1.0):
        assert expected(objective, network(strength)) == pytest.approx(supervised(network(strength)), rel=1e-6)


def test_without_weights_it_is_not_even_in_proportion():
    """SSDU's loss prefers another network than the supervised one would: unbiased it is only where densities are even."""
    ratios = [expected(SSDU(distance=MeanSquare()), network(s)) / supervised(network(s)) for s in (0.0, 1.0)]
    assert abs(ratios[0] / ratios[1] - 1) > 0.05
    even = torch.full(SHAPE, 0.5, dtype=torch.float64), torch.full(SHAPE, 0.4, dtype=torch.float64)
    ratios = [expected(SSDU(distance=MeanSquare()), network(s), *even) / supervised(network(s), *even) for s in (0.0, 0.2, 1.0)]
    assert ratios == pytest.approx([ratios[0]] * 3, rel=1e-6)
    assert ratios[0] == pytest.approx(0.5 * 0.4 / (1 - 0.6 * 0.5), rel=1e-6)  # 1 - K, of golden size


def test_points_of_columns_break_the_k_weights():
    """Columns acquired whole, split by points: a given sample betrays that its column was acquired, and the weights are of another law."""
    columns, split = torch.tensor([1.0, 0.6, 0.3], dtype=torch.float64), torch.full(SHAPE, 0.5, dtype=torch.float64)
    p = columns.expand(SHAPE).clone()

    def f(scan):
        """Guesses well where the other sample of the column is there."""
        neighbour = scan.mask.flip(-2) & ~scan.mask
        return estimate(torch.where(neighbour, TRUTH[:, None], 0) + scan.kspace)

    total = truth = 0.0
    for chosen, weight in every_subset(columns):
        omega = chosen.expand(SHAPE)
        scan = tiny_scan(TRUTH, omega)
        for lambda_, chance in every_subset(torch.where(omega, split, 0.0)):
            image = f(scan.on(~lambda_.expand(scan.mask.shape))).image
            error = (tiny_scan(TRUTH, torch.ones(SHAPE, dtype=torch.bool)).kspace - _kspace(image)).abs() ** 2
            truth += weight * chance * float(error[0, 0, 0][~(omega & ~lambda_)].sum()) / N
            if lambda_.any():
                objective = KWeighted(Fixed(lambda_, split), cap=1e3).knowing(sampling_of(p))
                total += weight * chance * float(loss_of(objective, f, scan, None, Draw(0)).mean)
    assert abs(total / truth - 1) > 0.1


def test_columns_of_columns_keep_them():
    """The same guess, and columns split as columns: the expectation is the supervised loss again."""
    columns, split = torch.tensor([1.0, 0.6, 0.3], dtype=torch.float64), torch.full(SHAPE, 0.5, dtype=torch.float64)
    p = columns.expand(SHAPE).clone()

    def f(scan):
        """Guesses the better the more columns there are, and one column by its neighbour."""
        neighbour = scan.mask.roll(1, dims=-1) & ~scan.mask
        return estimate(torch.where(neighbour, TRUTH[:, None], 0.1 * scan.mask.sum()) + scan.kspace)

    total = truth = 0.0
    for chosen, weight in every_subset(columns):
        omega = chosen.expand(SHAPE)
        scan = tiny_scan(TRUTH, omega)
        for held_out, chance in every_subset(torch.where(chosen, split[0], 0.0)):
            lambda_ = held_out.expand(SHAPE)
            image = f(scan.on(~lambda_.expand(scan.mask.shape))).image
            error = (tiny_scan(TRUTH, torch.ones(SHAPE, dtype=torch.bool)).kspace - _kspace(image)).abs() ** 2
            truth += weight * chance * float(error[0, 0, 0][~(omega & ~lambda_)].sum()) / N
            if lambda_.any():
                objective = KWeighted(Fixed(lambda_, split), cap=1e3).knowing(sampling_of(p))
                total += weight * chance * float(loss_of(objective, f, scan, None, Draw(0)).mean)
    assert total == pytest.approx(truth, rel=1e-5)


def _kspace(image):
    return torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(image, dim=(-2, -1)), norm="ortho"), dim=(-2, -1))


# -- noise: integrated exactly, for networks that are polynomials of their input

SIGMA = 0.5
POLYNOMIALS = [(0.8, 0.0, 0.0), (1.3, 0.2j, 0.1), (0.3, -0.4, 0.5j)]


def polynomial(a, b, c):
    return lambda scan: estimate(a * scan.kspace + b * scan.kspace**2 + c * scan.kspace.conj())


def one_location(y):
    return tiny_scan(y.reshape(-1, 1, 1, 1), torch.ones(1, 1, dtype=torch.bool), SIGMA)


def told_noise(monkeypatch, module, values):
    monkeypatch.setattr(
        f"ssrecon.objectives.{module}.white_noise", lambda scan, *_: values.reshape(scan.kspace.shape).to(scan.kspace.dtype)
    )


@pytest.mark.parametrize("coefficients", POLYNOMIALS)
def test_sure_is_the_risk(monkeypatch, coefficients):
    points, weights = gaussian(2)
    x, y = 1 - 2j, 1 - 2j + SIGMA * points[:, 0]
    f, scan = polynomial(*coefficients), one_location(y)
    told_noise(monkeypatch, "sure", points[:, 1])
    value = float((loss_of(SURE(), f, scan, None, Draw(0)).per_scan * weights).sum())
    risk = float(((f(scan).image - x).abs().square().flatten() * weights).sum())
    assert value == pytest.approx(risk, rel=1e-9)
    # The residual alone is no estimate of it: a network that changes nothing would be perfect.
    residual = float(((f(scan).image - scan.kspace).abs().square().flatten() * weights).sum())
    assert abs(residual - risk) > 0.1


def test_sure_of_the_published_toy(monkeypatch):
    """f = .8 y, sigma = .5, E|x|^2 = 4: .32."""
    points, weights = gaussian(2)
    told_noise(monkeypatch, "sure", points[:, 1])
    value = loss_of(SURE(), polynomial(0.8, 0, 0), one_location(2 + 0.5 * points[:, 0]), None, Draw(0)).per_scan
    assert float((value * weights).sum()) == pytest.approx(0.32, rel=1e-9)


@pytest.mark.parametrize("alpha", [0.75, 1.0])
def test_robust_ssdu_on_what_was_given_is_the_risk_of_the_corrected_estimate(monkeypatch, alpha):
    """For any network, up to a constant: -2 (1 + a^2)/a^2 sigma^2 + (1 + 1/a^2) sigma^2 once the correction is made."""
    points, weights = gaussian(2)
    x, y = 0.7 + 1j, 0.7 + 1j + SIGMA * points[:, 0]
    told_noise(monkeypatch, "robust_ssdu", points[:, 1])
    none = torch.zeros(1, 1, dtype=torch.bool)
    p = torch.ones(1, 1, dtype=torch.float64)
    objective = RobustSSDU(Fixed(none, p * 0.5), alpha=alpha).knowing(Sampling({(1, 1): Density((~none.numpy(),), p.numpy(), 0.0, False)}))
    constant = SIGMA**2 * (1 + alpha**-2) * (1 - 2)
    uncorrected = []
    for coefficients in POLYNOMIALS:
        f, scan = polynomial(*coefficients), one_location(y)
        loss = float((loss_of(objective, f, scan, None, Draw(0)).per_scan * weights).sum())
        corrected = reconstruction_of(replace(objective, noisy_at_test=True), f, scan, Draw(0)).image
        risk = float(((corrected - x).abs().square().flatten() * weights).sum())
        assert loss + constant == pytest.approx(risk, rel=1e-6)  # weights are in single precision
        noisier = one_location(y + alpha * SIGMA * points[:, 1])
        uncorrected.append(loss - float(((f(noisier).image - x).abs().square().flatten() * weights).sum()))
    assert max(uncorrected) - min(uncorrected) > 0.1  # without the correction no constant makes up for it


PAIR = torch.tensor([[0.7 + 1j, -1.2 + 0.4j]], dtype=torch.complex128)
"""Two locations: few enough to integrate over the noise of both, and over what is added to it or moves them."""


def pair_sampling(p):
    return Sampling({(1, 2): Density((p.numpy() > 0,), p.numpy(), 0.0, False)})


def coupled(a, b, c):
    """Every location from all that were given, and from how many they are."""

    def f(scan):
        total, seen = scan.kspace.sum(dim=(-2, -1), keepdim=True), scan.mask.double().sum(dim=(-2, -1), keepdim=True)
        return estimate(a * scan.kspace + b * total**2 + 0.3 * total.conj() + c * seen)

    return f


@pytest.mark.parametrize("alpha", [0.75, 1.0])
def test_robust_ssdu_is_the_risk_of_the_corrected_estimate_and_a_constant(monkeypatch, alpha):
    """Over masks, partitions, the noise and what is added, on all of k-space: unevenly acquired and unevenly held out. The constant is what
    noise costs: sigma^2 (1 + 1/a^2) as often as a location is given, and sigma^2 as often as it is not."""
    p, inclusion = torch.tensor([[0.9, 0.4]], dtype=torch.float64), torch.tensor([[0.3, 0.6]], dtype=torch.float64)
    points, weights = gaussian(4, nodes=3)
    y = (PAIR + SIGMA * points[:, :2]).reshape(-1, 1, 1, 2)
    told_noise(monkeypatch, "robust_ssdu", points[:, 2:])
    given = p * (1 - inclusion)
    constant = SIGMA**2 * float((1 - given + given * (1 + alpha**-2)).mean())
    for coefficients in POLYNOMIALS:
        f, loss, risk = coupled(*coefficients), 0.0, 0.0
        for omega, weight in every_subset(p):
            scan = tiny_scan(y, omega, SIGMA)
            for lambda_, chance in every_subset(torch.where(omega, inclusion, 0.0)):
                objective = RobustSSDU(Fixed(lambda_, inclusion), alpha=alpha, noisy_at_test=True, cap=1e3).knowing(pair_sampling(p))
                loss += weight * chance * float((loss_of(objective, f, scan, None, Draw(0)).per_scan * weights).sum())
                corrected = _kspace(reconstruction_of(objective, f, scan.on(~lambda_.expand(scan.mask.shape)), Draw(0)).image)
                risk += weight * chance * float(((corrected - PAIR).abs().square().mean(dim=(1, 2, 3, 4)) * weights).sum())
        assert loss - constant == pytest.approx(risk, rel=1e-6)


@pytest.mark.parametrize("coefficients", POLYNOMIALS)
def test_noise2noise_is_the_risk_plus_the_noise(coefficients):
    points, weights = gaussian(2)
    x = 1 - 2j
    both = one_location(x + SIGMA * points[:, 0]), one_location(x + SIGMA * points[:, 1])
    scan = replace(both[0], **{name: torch.cat([getattr(s, name) for s in both], dim=1) for name in ("kspace", "mask", "padding")})
    scan = replace(scan, headers=scan.headers[:1] * len(points))  # by one name they all draw the same repetition
    f = polynomial(*coefficients)
    value = float((loss_of(Noise2Noise(), f, scan, None, Draw(0)).per_scan * weights).sum())
    risk = float(((f(both[0]).image - x).abs().square().flatten() * weights).sum())
    assert value == pytest.approx(risk + SIGMA**2, rel=1e-9)


# -- ENSURE: unbiased over masks only where the error does not depend on them


def ensure_and_truth(f):
    sampling = sampling_of(torch.full(SHAPE, 0.5, dtype=torch.float64))
    total = truth = 0.0
    for omega, weight in every_subset(torch.full(SHAPE, 0.5, dtype=torch.float64)):
        if omega.any():
            scan = replace(tiny_scan(TRUTH, omega), noise_std=torch.full((1,), 1e-9, dtype=torch.float64))
            count = int(omega.sum())
            total += weight * count * float(loss_of(ENSURE().knowing(sampling), f, scan, None, Draw(0)).mean)
            truth += weight * float((_kspace(f(scan).image) - TRUTH[:, None]).abs().square().sum())
    return total, truth


def test_ensure_is_blind_to_what_depends_on_the_mask():
    fixed = estimate(TRUTH[:, None] + 0.3)
    total, truth = ensure_and_truth(lambda scan: fixed)
    assert total == pytest.approx(N * 0.09, rel=1e-6) and total == pytest.approx(truth, rel=0.05)
    total, truth = ensure_and_truth(lambda scan: estimate(scan.kspace))
    assert total == pytest.approx(0, abs=1e-6) and truth > 1


@pytest.mark.parametrize("coefficients", POLYNOMIALS)
def test_ensure_is_the_risk_where_the_error_does_not_depend_on_the_mask(monkeypatch, coefficients):
    """Unevenly acquired and noisy: of what was acquired a polynomial, and of what was not a guess that is as wrong on average."""
    p, f = torch.tensor([[0.3, 0.8]], dtype=torch.float64), polynomial(*coefficients)
    points, weights = gaussian(4, nodes=3)
    y = (PAIR + SIGMA * points[:, :2]).reshape(-1, 1, 1, 2)
    told_noise(monkeypatch, "sure", points[:, 2:])
    everything = f(tiny_scan(y, p > 0, SIGMA)).image
    errors = ((_kspace(everything) - PAIR).abs().square() * weights.reshape(-1, 1, 1, 1, 1)).sum(dim=(0, 1, 2, 3))

    def network(scan):
        return estimate(torch.where(scan.mask, _kspace(f(scan).image), PAIR + errors.sqrt()))

    total = 0.0
    for omega, chance in every_subset(p):
        if omega.any():
            loss = loss_of(ENSURE(cap=1e3).knowing(pair_sampling(p)), network, tiny_scan(y, omega, SIGMA), None, Draw(0)).per_scan
            total += chance * int(omega.sum()) * float((loss * weights).sum())
    assert total == pytest.approx(float(errors.sum()), rel=1e-6)
