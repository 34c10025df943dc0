"""What a training method is: a loss, and the rule by which its network reconstructs, side by side in one frozen object."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssrecon.core.draw import Draw
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.core.shapes import checked

Network = Callable[[CalibratedScan], Estimate]


class Draws:
    """All that is random in one evaluation of an objective, by name: ``Draws(part=...)`` has it as ``draws.part``.

    Values are tensors, partitions, moves of images, or tuples of them; whatever has a `to` follows the scans to their device.
    """

    def __init__(self, **drawn: Any):
        self._drawn = drawn

    def __getattr__(self, name: str) -> Any:
        # Asked for while it is unpickled, before there is a `_drawn`.
        drawn = self.__dict__.get("_drawn", {})
        if name not in drawn:
            raise AttributeError(f"nothing was drawn as {name!r}, only {', '.join(drawn) or 'nothing'}: see `Objective.draws`")
        return drawn[name]

    def to(self, device: torch.device | str) -> "Draws":
        """The same on another device."""
        return Draws(**{name: _on(value, device) for name, value in self._drawn.items()})


def _on(value: Any, device: torch.device | str) -> Any:
    if isinstance(value, tuple):
        return tuple(_on(item, device) for item in value)
    return value.to(device) if hasattr(value, "to") else value


@checked
@dataclass(frozen=True)
class Loss:
    """One value a scan, and the named terms it is the sum of where there are several."""

    per_scan: Float[Tensor, " batch"]
    terms: Mapping[str, Float[Tensor, " batch"]] = field(default_factory=dict)

    @property
    def mean(self) -> Float[Tensor, ""]:
        """What is differentiated: distances are computed per scan and averaged, so that batch-mates do not matter."""
        return self.per_scan.mean()


class Objective(ABC):
    """A training method. The network is an argument: any `module(scan) -> Estimate` will do."""

    needs_reference: ClassVar[bool] = False
    """Where this is True the trainer hands over the fully sampled reference, and refuses scans without one."""
    takes_reference: ClassVar[bool] = False
    """Where this is True the trainer hands over the references there are; scans with one and without are in batches of their own."""
    holds_out: ClassVar[bool] = True
    """Whether the network is judged on acquired samples that were kept from it. False for methods that give it all of Omega and rest on
    the noise level or on invariance instead.
    """

    def needs_noise_level(self) -> bool:
        """Whether scans without a known noise level cannot be trained on in this way; they are refused before a training begins."""
        return False

    def fitted(self, scans: Iterable[CalibratedScan]) -> Self:
        """This method as it trains on these scans: called once before a training, with the scans it will see, read as they are asked for.
        For what has to be known of an archive as a whole, as its sampling density. By default nothing is asked.
        """
        return self

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know before training in this way on what it was fitted to."""
        return ()

    @abstractmethod
    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        """All that is random in the loss of a batch: partitions, probes, noise, masks, moves; an empty `Draws()` where nothing is.

        It is drawn scan by scan on the CPU, so that batch-mates, device and workers change nothing. Raises BadInput, naming the scan, where
        it cannot be drawn for it.
        """

    @abstractmethod
    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        r"""The loss of each scan of a batch, differentiable in the network's parameters: :math:`\ell(y_\Lambda, E_\Lambda f(y_\Theta))`
        for one that splits :math:`\Omega = \Theta \cup \Lambda`. A pure function: nothing is drawn here.

        `scan` is what was acquired (less Gamma where the scan is validated on); `reference` the fully sampled scan, None unless
        `needs_reference` or `takes_reference`; `draws` what `draws` gave for these scans. An objective whose `auxiliary` is a module is
        given it as the further keyword ``auxiliary``. Raises BadInput, naming the scan, where it cannot be trained on in this way.
        """

    def test_draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        """All that is random in `reconstruct`; by default nothing is."""
        return Draws()

    def reconstruct(self, network: Network, scan: CalibratedScan, draws: Draws) -> Estimate:
        """The method's own rule at test time, given its `test_draws`; by default the network sees everything that was acquired."""
        return network(scan)

    def auxiliary(self, seed: int, example: CalibratedScan) -> nn.Module | None:
        """What is trained and checkpointed beside the network, such as a critic or a noise level, its initial weights drawn from `seed`; by
        default nothing is. `example` is a batch of the training scans' shapes.
        """
        return None
