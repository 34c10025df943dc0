"""Equivariant imaging: what the sampling never sees is learned from the symmetry of what is imaged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe, at_least
from ssrecon.core.per_scan import per_scan
from ssrecon.core.scan import CalibratedScan, Estimate, Network
from ssrecon.core.shapes import checked
from ssrecon.objectives.base import Draws, Loss, Objective
from ssrecon.objectives.distances import Distance, MeanSquare
from ssrecon.objectives.measurement import (
    mean_square,
    noise_level,
    predicted,
    simulated_measurement,
    support,
    white_noise,
    with_noise,
)
from ssrecon.objectives.moves import Move, moved
from ssrecon.objectives.transforms import Rotations, Transform


@dataclass(frozen=True)
class EquivariantImaging(Objective):
    r"""Equivariant imaging has two terms. One is data consistency; the other compares a transformed image with the network's estimate of it
    from that image's own virtual measurement:

    .. math:: d\big(y, E x_1\big) + \frac{\alpha}{G} \sum_g \tfrac1N \big\| T_g x_1 - f(E T_g x_1) \big\|^2, \qquad x_1 = f(y)

    over G = `transforms` drawn :math:`T_g`, with the gradient through :math:`x_1` on both sides. :math:`T_g` moves the image; the coils,
    and so E, stay where they are in the scanner. The loss says something of the null space of E only where :math:`E T_g` differs from E:
    shifts commute with Cartesian sampling and are refused, quarter turns and flips leave part of k-space unseen, rotations by any angle
    see all of it. And it assumes that a transformed image could have been scanned as well, which anatomy in one orientation (coronal
    knees) is not quite true of. Two evaluations of the network an update, and one more for each further transform. Raises BadRecipe for a
    negative weight.

    Chen, Tachella & Davies. Equivariant imaging: learning beyond the range space. ICCV 2021. doi:10.48550/arXiv.2103.14756 (which takes
    integer degrees, a batch of transforms, and a squared distance)
    """

    transform: Transform = Rotations()
    distance: Distance = MeanSquare()
    weight: float = 1.0
    r"""This is :math:`\alpha`."""
    transforms: int = 1
    """The number of transforms drawn for each scan at each update."""
    holds_out: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_transform(self, self.transform)
        at_least(self, weight=0, transforms=1)

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        return Draws(moves=drawn_moves(self.transform, scan, draw, self.transforms))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        estimate = network(scan)
        consistency = self.distance(predicted(scan, estimate), scan.kspace)
        equivariance = self.weight * equivariance_of(network, scan, estimate, draws.moves)
        return Loss(consistency + equivariance, {"consistency": consistency, "equivariance": equivariance})


def check_transform(owner: object, transform: Transform) -> None:
    """Raise BadRecipe for transforms that teach nothing about what Cartesian sampling leaves out."""
    if transform.commutes_with_sampling:
        found = f"{type(transform).__name__}, which commute with Cartesian sampling: nothing that was not acquired is learned from them"
        raise BadRecipe(f"{type(owner).__name__}.transform", found=found, expected="rotations by any angle, or diffeomorphisms")


def drawn_moves(transform: Transform, scan: CalibratedScan, draw: Draw, transforms: int = 1) -> tuple[tuple[Move, ...], ...]:
    """Draw so many moves of every scan of a batch."""
    return tuple(transform.moves(scan, draw, f"transform {number}") for number in range(transforms))


def virtual_noise(scan: CalibratedScan, draw: Draw) -> Complex[Tensor, "batch frames coils *k"]:
    """Draw white noise of variance 1 for virtual measurements."""
    return white_noise(scan, draw, "virtual noise")


@checked
def equivariance_of(
    network: Network,
    scan: CalibratedScan,
    estimate: Estimate,
    moves: Sequence[Sequence[Move]],
    mask: Bool[Tensor, "batch frames 1 *k"] | None = None,
    noise: Complex[Tensor, "batch frames coils *k"] | None = None,
) -> Float[Tensor, " batch"]:
    r"""Return :math:`\tfrac1N \| T_g x - f(E_g T_g x) \|^2`, the mean over drawn `moves`.

    The virtual measurement goes through another `mask` where one is given, and gets the noise that the scanner would have added where white
    `noise` is given. What coils see of the image moves, and it is kept where they still see it: no data hold an image elsewhere.
    """
    terms, inside = [], support(scan.csm)
    if noise is not None:
        noise = per_scan(noise_level(scan), noise) * noise
    for own in moves:
        image = moved(estimate.image * inside, own) * inside
        virtual = simulated_measurement(scan, image, scan.mask if mask is None else mask, estimate)
        terms.append(mean_square(image - network(virtual if noise is None else with_noise(virtual, noise)).image))
    return torch.stack(terms).mean(dim=0)
