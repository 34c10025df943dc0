"""JSSL: a few references, many undersampled scans."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import torch

from ssrecon.core.description import FROM_DATA
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe
from ssrecon.core.per_scan import per_scan
from ssrecon.core.scan import CalibratedScan
from ssrecon.objectives.base import Draws, Loss, Network, Objective
from ssrecon.objectives.distances import Distance, NormalizedL1L2
from ssrecon.objectives.measurement import predicted
from ssrecon.partition import Gaussian, Partitioner


@dataclass(frozen=True)
class ChosenSubjects:
    """These are the training subjects whose reference may be used."""

    names: frozenset[str]
    among: int
    """The number of training subjects that they were chosen from."""

    def remarks(self) -> tuple[str, ...]:
        return (f"references of {len(self.names)} of {self.among} subjects may be used",)


@dataclass(frozen=True)
class JSSL(Objective):
    r"""JSSL is joint supervised and self-supervised learning: scans with a fully sampled reference are trained on it, all others as by
    SSDU.

    .. math:: L\big(y_{\rm full}, E_{\rm full} f(y_\Omega)\big) \quad\text{or}\quad L\big(y_\Lambda, E_\Lambda f(y_\Theta)\big)

    Both are in k-space, by one distance. `fraction` is the part of the training subjects whose reference may be used, to the nearest number
    of subjects and the same in every pass and at every seed: on an archive that has references for all it is the number of references that
    is studied, and 1 uses those there are (where all scans have one, that is supervised training). The paper pairs an archive that can be
    fully sampled (brains, knees) with one that cannot (hearts, prostates); one folder with both is that, undersampled by
    ``Data(pattern=..., only_full=True)``, which makes references of what was fully sampled and leaves the rest as it is.

    Yiasemis et al. JSSL: joint supervised and self-supervised learning for MRI reconstruction. doi:10.48550/arXiv.2311.15856 (2023; MIDL
    2025)
    """

    partitioner: Partitioner = Gaussian(loss_fraction=0.4)
    distance: Distance = NormalizedL1L2()
    fraction: float = 1.0
    takes_reference: ClassVar[bool] = True
    chosen: ChosenSubjects | None = field(default=None, compare=False, repr=False, kw_only=True, metadata=FROM_DATA)
    """This is what `fitted` found for a fraction below 1: whose references may be used."""

    def __post_init__(self) -> None:
        if not 0 <= self.fraction <= 1:
            raise BadRecipe("JSSL.fraction", found=repr(self.fraction), expected="a number from 0 to 1")

    def fitted(self, scans: Iterable[CalibratedScan]) -> Self:
        if self.fraction == 1:
            return self
        keys: dict[str, str] = {}
        for header in (header for scan in scans for header in scan.headers):
            # As all that is drawn, by the content of files where they were measured: a pseudonym depends on its key.
            keys[header.subject] = min(keys.get(header.subject, header.draw_key), header.draw_key)
        drawn = {name: float(Draw(0).generator("reference", key or name).random()) for name, key in sorted(keys.items())}
        ranked = sorted(drawn, key=lambda name: drawn[name])
        return replace(self, chosen=ChosenSubjects(frozenset(ranked[: round(self.fraction * len(ranked))]), len(ranked)))

    def uses(self, subject: str) -> bool:
        """Tell whether a subject's reference may be used. Raises BadRecipe for a fraction of subjects that are not known."""
        if self.fraction < 1 and self.chosen is None:
            raise BadRecipe(
                "JSSL", found="no subjects to take a fraction of", expected="JSSL.fitted(scans), which a training calls by itself"
            )
        return self.chosen is None or subject in self.chosen.names

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        return Draws(part=self.partitioner.split(scan, draw))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        part = draws.part
        supervised = torch.tensor([reference is not None and self.uses(header.subject) for header in scan.headers]).to(scan.mask.device)
        # One pass of the network for both kinds: it is given everything where it is judged on the reference.
        given = part.theta | (per_scan(supervised, scan.mask) & scan.mask)
        estimate = network(scan.on(given))
        value = torch.zeros_like(scan.scale)
        held_out = scan.on(part.lambda_)
        if not bool(supervised.all()):
            value = self.distance(predicted(held_out, estimate), held_out.kspace)
        if reference is not None and bool(supervised.any()):
            value = torch.where(supervised, self.distance(predicted(reference, estimate), reference.kspace), value)
        return Loss(value)
