"""What objectives share that have to know how the archive they train on was sampled."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

from jaxtyping import Float
from torch import Tensor

from ssrecon.core.description import FROM_DATA
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.core.scan import CalibratedScan
from ssrecon.objectives.base import Draws, Loss, Network, Objective
from ssrecon.sampling import Sampling


@dataclass(frozen=True)
class SamplingAware(Objective):
    """An objective that is fitted to the masks of its training scans."""

    sampling: Sampling | None = field(default=None, compare=False, repr=False, kw_only=True, metadata=FROM_DATA)
    """Filled in by `fitted`; no part of a recipe."""

    @abstractmethod
    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws: ...

    @abstractmethod
    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss: ...

    def fitted(self, scans: Iterable[CalibratedScan]) -> Self:
        return self.knowing(Sampling.of(scans))

    def knowing(self, sampling: Sampling) -> Self:
        """This method as it trains on an archive that was so sampled. Raises BadRecipe where it cannot."""
        self.check(sampling)
        return replace(self, sampling=sampling)

    def check(self, sampling: Sampling) -> None:
        """Raises BadRecipe where scans so sampled cannot be trained on in this way; by default all can."""

    @property
    def remarks(self) -> tuple[str, ...]:
        return self.sampling.remarks() if self.sampling is not None else ()

    @property
    def known(self) -> Sampling:
        """The sampling of the archive. Raises BadRecipe for an objective that was not fitted to one."""
        if self.sampling is None:
            name = type(self).__name__
            raise BadRecipe(name, found="no masks of an archive", expected=f"{name}.fitted(scans), which a training calls by itself")
        return self.sampling

    def density(self, scan: CalibratedScan) -> Float[Tensor, "1 1 1 *k"]:
        r""":math:`p_j` of the scan's matrix. Raises BadInput, naming the scan, where it holds samples that no scan of the archive does."""
        probability = self.known.probability(scan)
        if bool((scan.mask & ~scan.padding & (probability == 0)).any()):
            raise BadInput(
                scan.ids[0], found="samples where the density of the archive's masks is 0", expected="scans like those it was made of"
            )
        return probability


def check_cap(owner: object, cap: float) -> None:
    """Raises BadRecipe for a bound of weights below 1; infinity is no bound."""
    if not cap >= 1:
        raise BadRecipe(f"{type(owner).__name__}.cap", found=repr(cap), expected="1 or more")
