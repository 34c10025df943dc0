"""What the processes of one training, which torchrun starts, know of each other."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Process:
    """One process of a training. By default it is the only one."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def first(self) -> bool:
        """This says whether it is the process that validates and writes."""
        return self.rank == 0

    def share(self, batch: Sequence[str]) -> Sequence[str]:
        """Return this process's part of a global batch. It is empty where the batch is smaller than the number of processes."""
        return batch[self.rank :: self.world]

    def sum_(self, *tensors: Tensor) -> None:
        """Sum in place over all processes, in one message."""
        if self.world == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        offset = 0
        for tensor in tensors:
            tensor.copy_(flat[offset : offset + tensor.numel()].view_as(tensor))
            offset += tensor.numel()

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the gradients of all processes.

        Each divided its losses by the size of the global batch, so that unequal shares, an empty one among them, give exactly the gradient
        of one process with the whole batch; a wrapper that averages over processes would not.
        """
        if self.world == 1:
            return
        parameters = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.sum_(*[parameter.grad for parameter in parameters if parameter.grad is not None])

    def any(self, *values: bool) -> tuple[bool, ...]:
        """Tell of each value whether it is true on any of the processes. All of them get the same answer."""
        if self.world == 1:
            return values
        answer = torch.tensor(values, dtype=torch.float32, device=self.device)
        self.sum_(answer)
        return tuple(bool(value) for value in answer.tolist())

    def wait(self) -> None:
        """Wait until all processes have come here."""
        self.any(True)


@contextmanager
def process(device: str = "cpu") -> Iterator[Process]:
    """Give the process that this is, by the environment that torchrun sets. Processes talk by gloo on CPUs, by NCCL on GPUs (one each)."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield Process(device=torch.device(device))
        return
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", rank))) if device.startswith("cuda") else torch.device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    # The others wait while the first prepares an archive or evaluates: hours, not the default's minutes.
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=timedelta(days=2))
    try:
        yield Process(rank, world, place)
    finally:
        dist.destroy_process_group()
