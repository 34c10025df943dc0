"""Problems small enough to take every expectation exactly: all masks are enumerated, and Gaussian noise is integrated by a quadrature that
is exact for the polynomials that the networks here are."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.scan import CalibratedScan, Estimate, Header
from ssrecon.operators.fourier import Fourier
from ssrecon.partition import Partition, Partitioner


def tiny_scan(kspace: torch.Tensor, mask: torch.Tensor, sigma: float = 0.5) -> CalibratedScan:
    """Uniform sensitivity, double precision: the image is the inverse transform of k-space. (batch, coils, y, x) and (batch, y, x)."""
    count, coils, *matrix = kspace.shape
    mask = mask.expand(count, *matrix)[:, None, None]
    return CalibratedScan(
        headers=tuple(Header(f"v{i}/slice-000", f"v{i}", f"s{i}") for i in range(count)),
        kspace=torch.where(mask, kspace[:, None], 0),
        mask=mask,
        padding=torch.zeros_like(mask),
        csm=torch.full((count, 1, coils, *matrix), coils**-0.5, dtype=torch.complex128),
        calibration=torch.zeros(count, 1, 1, *matrix, dtype=torch.bool),
        scale=torch.ones(count, dtype=torch.float64),
        noise_std=torch.full((count,), sigma, dtype=torch.float64),
        noise_source="noise scan",
    )


def estimate(kspace: torch.Tensor) -> Estimate:
    """The image whose k-space is this (batch, 1, 1, y, x): any function into k-space is a network."""
    return Estimate(Fourier(2).adjoint(kspace))


@dataclass(frozen=True)
class Fixed(Partitioner):
    """The partition that is told."""

    lambda_: torch.Tensor
    inclusion: torch.Tensor

    def split(self, scan: CalibratedScan, draw: Draw) -> Partition:
        lambda_ = scan.mask & self.lambda_.expand(scan.mask.shape)
        return Partition(scan.mask & ~lambda_, lambda_, self.inclusion.expand(scan.mask.shape).to(torch.float32) * scan.mask)


def every_subset(probability: torch.Tensor):
    """All subsets of a grid whose elements come independently: (mask, probability), the impossible ones left out."""
    flat = probability.flatten()
    for chosen in itertools.product((False, True), repeat=flat.numel()):
        inside = torch.tensor(chosen)
        weight = float(torch.where(inside, flat, 1 - flat).prod())
        if weight > 0:
            yield inside.reshape(probability.shape), weight


def gaussian(count: int, nodes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` complex normal numbers with E|n|^2 = 1: points (n, count) and weights (n,), exact up to degree 2 nodes - 1 in each part."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    x, w = x / np.sqrt(2), w / w.sum()
    points = np.array(list(itertools.product(x, repeat=2 * count))).reshape(-1, count, 2)
    weights = np.array([np.prod(each) for each in itertools.product(w, repeat=2 * count)])
    return torch.view_as_complex(torch.from_numpy(points).contiguous()), torch.from_numpy(weights)
