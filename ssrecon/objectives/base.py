"""What a training method is: a loss, and the rule by which its network reconstructs, side by side in one frozen object."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol, Self, final, runtime_checkable

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor, nn

from ssrecon.core.draw import Draw
from ssrecon.core.scan import CalibratedScan, Estimate, Network
from ssrecon.core.shapes import checked
from ssrecon.objectives.moves import Move
from ssrecon.partition import Partition


class Draws(SimpleNamespace):
    """Everything that is random in one evaluation of an objective: ``Draws(part=...)`` has it as ``draws.part``.

    The published methods draw what is declared here, each what it needs; an objective of your own may draw more, by names of its own.
    Values are tensors, partitions, moves of images, or tuples of them; whatever has a `to` follows the scans to their device.
    """

    part: Partition
    """This says how each scan was split."""
    mask: Bool[Tensor, "batch frames 1 *k"]
    """This is the mask of another scan of the archive, for each scan."""
    moves: tuple[tuple[Move, ...], ...]
    """These move the images: a tuple of moves, one a scan, for each transform that was drawn."""
    noise: Complex[Tensor, "batch frames coils *k"]
    """This is white noise of variance 1, which is added to a measurement."""
    level: Float[Tensor, " batch"]
    """This is the standard deviation of the added noise, in units of the scan's own."""
    probe: Complex[Tensor, "batch frames coils *k"]
    """This is white noise of variance 1, along which a divergence is measured."""
    given: Int[Tensor, " batch"]
    """This is the number of the frame that the network is given."""

    def to(self, device: torch.device | str) -> "Draws":
        """Return the same draws on another device."""
        return Draws(**{name: _moved_to(device, value) for name, value in vars(self).items()})


def _moved_to(device: torch.device | str, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_moved_to(device, item) for item in value)
    return value.to(device) if hasattr(value, "to") else value


@checked
@dataclass(frozen=True)
class Loss:
    """A loss has one value a scan, and where it is a sum of several terms, their values by name."""

    per_scan: Float[Tensor, " batch"]
    terms: Mapping[str, Float[Tensor, " batch"]] = field(default_factory=dict)

    @property
    def mean(self) -> Float[Tensor, ""]:
        """This is what is differentiated. Distances are computed per scan and then averaged, so that batch-mates do not matter."""
        return self.per_scan.mean()


@runtime_checkable
class HasRemarks(Protocol):
    """A part of an objective that has something to tell a person follows this protocol: a family of transforms, the masks of an archive."""

    def remarks(self) -> tuple[str, ...]:
        """Return one sentence for each thing to know."""


class Objective(ABC):
    """An objective is a training method, as a frozen dataclass. The network is an argument: any `module(scan) -> Estimate` will do.

    `draws` and `loss` make a method. The facts are class attributes, and four methods have a default that a method of its own kind may
    replace: `fitted`, `test_draws`, `reconstruct` and `auxiliary`. Nothing else is ever overridden.
    """

    needs_reference: ClassVar[bool] = False
    """Where this is True, the trainer hands over the fully sampled reference, and it refuses scans without one."""
    takes_reference: ClassVar[bool] = False
    """Where this is True, the trainer hands over the references there are; scans with one and scans without are in batches of their own."""
    needs_noise_level: ClassVar[bool] = False
    """Where this is True, the trainer refuses scans whose noise level is unknown. A method whose settings decide has a property of this
    name."""
    holds_out: ClassVar[bool] = True
    """This tells whether the network is judged on acquired samples that were kept from it. It is False for methods that give the network
    all of Omega and rest on the noise level or on invariance instead."""

    @final
    def remarks(self) -> tuple[str, ...]:
        """Return what a person should know before training in this way: the `remarks` of each part of the objective, a sentence each."""
        parts = [getattr(self, part.name) for part in fields(self)]  # type: ignore[arg-type]
        return tuple(remark for part in parts if isinstance(part, HasRemarks) for remark in part.remarks())

    @abstractmethod
    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        """Draw everything that is random in the loss of a batch: partitions, probes, noise, masks, moves.

        Where nothing is random, return an empty `Draws()`. It is drawn scan by scan on the CPU, so that batch-mates, device and workers
        change nothing. Raises BadInput, naming the scan, where it cannot be drawn for it.
        """

    @abstractmethod
    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        r"""Return the loss of each scan of a batch, differentiable in the network's parameters.

        For a method that splits :math:`\Omega = \Theta \cup \Lambda` it is :math:`\ell(y_\Lambda, E_\Lambda f(y_\Theta))`. A loss is a pure
        function: nothing is drawn here.

        `scan` is what was acquired (less Gamma where the scan is validated on). `reference` is the fully sampled scan; it is None unless
        `needs_reference` or `takes_reference` is True. `draws` is what `draws` gave for these scans. An objective whose `auxiliary` is a
        module is given that module as the further keyword ``auxiliary``. Raises BadInput, naming the scan, where it cannot be trained on in
        this way.
        """

    def fitted(self, scans: Iterable[CalibratedScan]) -> Self:
        """Return this method as it trains on these scans, for what has to be known of an archive as a whole, such as its sampling density.

        It is called once before a training with the scans of that training, which are read as they are asked for. By default nothing is
        asked, and the method stays as it is.
        """
        return self

    def test_draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        """Draw everything that is random in `reconstruct`; by default nothing is."""
        return Draws()

    def reconstruct(self, network: Network, scan: CalibratedScan, draws: Draws) -> Estimate:
        """Reconstruct by the method's own rule at test time, given its `test_draws`.

        By default the network is given everything that was acquired.
        """
        return network(scan)

    def auxiliary(self, seed: int, example: CalibratedScan) -> nn.Module | None:
        """Build what is trained and checkpointed beside the network, such as a critic or a noise level; by default there is nothing.

        Its initial weights are drawn from `seed`, and `example` is a batch of the training scans' shapes.
        """
        return None
