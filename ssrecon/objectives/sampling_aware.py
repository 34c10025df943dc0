"""What objectives share that have to know how the archive they train on was sampled."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from jaxtyping import Float
from torch import Tensor

from ssrecon.core.description import FROM_DATA
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.core.scan import CalibratedScan
from ssrecon.objectives.base import Objective
from ssrecon.sampling import Sampling


@dataclass(frozen=True)
class SamplingAware(Objective):
    """A sampling-aware objective is fitted to the masks of its training scans."""

    sampling: Sampling | None = field(default=None, compare=False, repr=False, kw_only=True, metadata=FROM_DATA)
    """This is what `fitted` found; it is no part of a recipe."""

    needs_several_masks: ClassVar[bool] = False
    """Where this is True, an archive whose scans were all sampled by one mask is refused."""

    def fitted(self, scans: Iterable[CalibratedScan]) -> Self:
        return self.knowing(Sampling.of(scans))

    def knowing(self, sampling: Sampling) -> Self:
        """Return this method as it trains on an archive that was so sampled. Raises BadRecipe where it cannot."""
        if self.needs_several_masks:
            check_several_masks(self, sampling)
        return replace(self, sampling=sampling)

    @property
    def known(self) -> Sampling:
        """This is the sampling of the archive. Raises BadRecipe for an objective that was not fitted to one."""
        if self.sampling is None:
            name = type(self).__name__
            raise BadRecipe(name, found="no masks of an archive", expected=f"{name}.fitted(scans), which a training calls by itself")
        return self.sampling

    def density(self, scan: CalibratedScan) -> Float[Tensor, "1 1 1 *k"]:
        r"""Return :math:`p_j` of the scan's matrix.

        Raises BadInput, naming the scan, where it holds samples that no scan of the archive does.
        """
        probability = self.known.probability(scan)
        if bool((scan.mask & ~scan.padding & (probability == 0)).any()):
            raise BadInput(
                scan.ids[0], found="samples where the density of the archive's masks is 0", expected="scans like those it was made of"
            )
        return probability


def check_cap(owner: object, cap: float) -> None:
    """Raise BadRecipe for a bound of weights below 1. Infinity is no bound."""
    if not cap >= 1:
        raise BadRecipe(f"{type(owner).__name__}.cap", found=repr(cap), expected="1 or more")


def check_several_masks(owner: object, sampling: Sampling) -> None:
    """Raise BadRecipe where the scans of a matrix were all sampled by one mask."""
    for matrix, density in sampling.densities.items():
        if all((mask == density.masks[0]).all() for mask in density.masks):
            name = "x".join(map(str, matrix))
            found = f"one sampling mask in all scans of {name}: no second operator to learn from"
            raise BadRecipe(type(owner).__name__, found=found, expected="masks that differ from scan to scan, or equivariant imaging")
