"""Equivariant imaging: what the sampling never sees is learned from the symmetry of what is imaged."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.draw import Draw
from ssrecon.errors import BadRecipe
from ssrecon.objectives.base import Loss, Network, Objective
from ssrecon.objectives.distances import Distance, MeanSquare
from ssrecon.objectives.measurement import mean_square, measured, predicted, support
from ssrecon.objectives.transforms import Rotations, Transform
from ssrecon.scan import CalibratedScan


@dataclass(frozen=True)
class EquivariantImaging(Objective):
    r"""Data consistency, and the network's estimate of a transformed image from that image's own virtual measurement:

    .. math:: d\big(y, E x_1\big) + \alpha\, \tfrac1N \big\| T_g x_1 - f(E T_g x_1) \big\|^2, \qquad x_1 = f(y)

    with the gradient through :math:`x_1` on both sides. :math:`T_g` moves the image; the coils, and so E, stay where they are in the
    scanner. The loss says something of the null space of E only where :math:`E T_g` differs from E: shifts commute with Cartesian sampling
    and are refused, quarter turns and flips leave part of k-space unseen, rotations by any angle see all of it. And it assumes that a
    transformed image could have been scanned as well, which anatomy in one orientation (coronal knees) is not quite true of. Two
    evaluations of the network an update, and one more for each further transform.

    Chen, Tachella & Davies. Equivariant imaging: learning beyond the range space. ICCV 2021. arXiv:2103.14756 (which takes integer
    degrees, a batch of transforms, and a squared distance)
    """

    transform: Transform = Rotations()
    distance: Distance = MeanSquare()
    weight: float = 1.0
    r""":math:`\alpha`."""
    transforms: int = 1
    """Drawn for each scan at each update."""
    holds_out: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_transform(self, self.transform)

    @property
    def remarks(self) -> tuple[str, ...]:
        return (self.transform.leaves_unseen,) if self.transform.leaves_unseen else ()

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draw: Draw) -> Loss:
        estimate = network(scan)
        consistency = self.distance(predicted(scan, estimate), scan.kspace)
        equivariance = self.weight * sum(
            (equivariance_of(network, scan, self.transform, estimate.image, draw, f"transform {i}") for i in range(self.transforms)),
            start=consistency.new_zeros(consistency.shape),
        )
        return Loss(consistency + equivariance, {"consistency": consistency, "equivariance": equivariance})


def check_transform(owner: object, transform: Transform) -> None:
    """Raises BadRecipe for transforms that teach nothing about what Cartesian sampling leaves out."""
    if transform.commutes_with_sampling:
        found = f"{type(transform).__name__}, which commute with Cartesian sampling: nothing that was not acquired is learned from them"
        raise BadRecipe(f"{type(owner).__name__}.transform", found=found, expected="rotations by any angle, or diffeomorphisms")


def transformed(
    scan: CalibratedScan, transform: Transform, image: Complex[Tensor, "batch frames maps *x"], draw: Draw, purpose: str
) -> Complex[Tensor, "batch frames maps *x"]:
    """The image moved, where the coils still see it."""
    return transform(image, draw, scan.ids, purpose) * support(scan.csm)


def equivariance_of(
    network: Network, scan: CalibratedScan, transform: Transform, image: Complex[Tensor, "batch frames maps *x"], draw: Draw, purpose: str
) -> Float[Tensor, " batch"]:
    r""":math:`\tfrac1N \| T_g x - f(E T_g x) \|^2` of one drawn transform."""
    moved = transformed(scan, transform, image, draw, purpose)
    return mean_square(moved - network(measured(scan, moved, scan.mask)).image)
