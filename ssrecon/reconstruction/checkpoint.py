"""A checkpoint is one safetensors file with the weights, what training needs to go on, and the recipe as JSON. Nothing is pickled."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ssrecon.core.description import rebuild
from ssrecon.core.errors import BadInput
from ssrecon.core.files import whole_file
from ssrecon.core.json_text import json_object

FORMAT = 1
T = TypeVar("T")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as it was read."""

    path: Path
    tensors: Mapping[str, Tensor]
    about: Mapping[str, Any]
    """``recipe`` (a description), ``step``, ``domain`` and whatever the trainer keeps."""

    def rebuilt(self, name: str, kind: type[T], trust: Collection[str] = ()) -> T:
        """Return the object that an entry of `about` describes.

        Raises BadInput, naming file and field, where it describes none of this kind, and BadRecipe for classes from outside ssrecon that
        `trust` does not name.
        """
        where = f"{self.path}: {name}"
        try:
            found = rebuild(self.entry(name), where, trust)
        except BadInput as error:
            if error.where.startswith(str(self.path)):
                raise
            raise type(error)(f"{where}, {error.where}", error.found, error.expected) from error  # a class names itself and not the file
        if not isinstance(found, kind):
            told = f"{found!r}" if found is None or isinstance(found, (bool, int, float, str)) else f"a {type(found).__name__}"
            raise BadInput(where, found=told, expected=f"a description of {kind.__name__}")
        return found

    def entry(self, name: str) -> Any:
        """Return an entry of `about`. Raises BadInput where there is none."""
        if name not in self.about:
            raise BadInput(self.path, found=f"a checkpoint that does not say its {name}", expected="one written by ssrecon's training")
        return self.about[name]

    def weights(self, part: str = "network") -> dict[str, Tensor]:
        """Return the weights of the network, or of the module that an objective trained beside it (``auxiliary``)."""
        return {name.removeprefix(f"{part}/"): value for name, value in self.tensors.items() if name.startswith(f"{part}/")}

    def load_into(self, network: nn.Module, part: str = "network") -> None:
        """Put the weights into a network. Raises BadInput where they are another network's."""
        weights, own = self.weights(part), network.state_dict()
        if missing := sorted(set(own) - set(weights)):
            found = f"weights without {missing[0]!r}: another network's checkpoint"
            raise BadInput(self.path, found=found, expected=f"the {len(own)} tensors of this network")
        self._load(weights, network)

    def start_of(self, network: nn.Module, part: str = "network") -> list[str]:
        """Put the weights into a network that may have more parameters, and return the names of those that stay as they were.

        The weights are those of the network, of some of its parts (one unroll of several whose denoisers are not shared), or of a module
        inside it: a network in `WithUncertainty` or `LearnedCSM` starts from a checkpoint of that network alone. Raises BadInput where a
        weight has no place or another shape.
        """
        weights, own = self.weights(part), set(network.state_dict())
        place = ""
        if not set(weights) <= own:
            place = next((name for name, module in network.named_modules() if set(module.state_dict()) == set(weights)), "")
        self._load(weights, network.get_submodule(place))
        prefix = f"{place}." if place else ""
        return sorted(own - {prefix + name for name in weights})

    def _load(self, weights: Mapping[str, Tensor], module: nn.Module) -> None:
        own = module.state_dict()
        if extra := sorted(set(weights) - set(own)):
            found = f"weights with {extra[0]!r}: another network's checkpoint"
            raise BadInput(self.path, found=found, expected=f"the {len(own)} tensors of this network")
        for name, value in weights.items():
            if value.shape != own[name].shape:
                raise BadInput(self.path, found=f"{name} of shape {tuple(value.shape)}", expected=f"shape {tuple(own[name].shape)}")
        module.load_state_dict(weights, strict=False)


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all. The same tensors and the same `about` give the same bytes."""
    from safetensors.torch import save

    # One metadata entry: safetensors writes several of them in no fixed order.
    metadata = {"ssrecon": json.dumps({"format": FORMAT, **about}, sort_keys=True)}
    with whole_file(path) as partial:
        try:
            # Written by ourselves: save_file has a temporary file of its own, which a kill would leave behind under a name like any other.
            values = {name: value.detach().cpu().contiguous().clone() for name, value in sorted(tensors.items())}
            partial.write_bytes(save(values, metadata))
        except OSError as error:
            found = f"that it could not be written ({str(error).splitlines()[0]})"
            raise BadInput(path, found=found, expected="room on the disk; the checkpoint before it is whole") from error


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Read a checkpoint. Raises BadInput for a file that is missing, truncated or none of ours."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise BadInput(path, found="no such file", expected="a checkpoint (.safetensors) of ssrecon")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
    except (SafetensorError, OSError) as error:
        raise BadInput(path, found=f"an unreadable file ({error})", expected="a checkpoint (.safetensors) of ssrecon") from error
    if "ssrecon" not in metadata:
        raise BadInput(path, found="safetensors without ssrecon's metadata", expected="a checkpoint written by ssrecon")
    about = json_object(metadata["ssrecon"], path, "a checkpoint written by ssrecon")
    if (known := about.get("format")) != FORMAT:
        raise BadInput(path, found=f"a checkpoint of format {known!r}", expected=f"format {FORMAT}: another version of ssrecon wrote it")
    return Checkpoint(path, tensors, about)


def optimizer_tensors(parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return Adam's moments by parameter name."""
    names = {id(parameter): name for name, parameter in parameters.items()}
    return {
        f"optimizer/{names[id(parameter)]}/{key}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def load_optimizer(checkpoint: Checkpoint, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """Put Adam's moments back. Step counters stay on the CPU, where Adam keeps them."""
    for name, parameter in parameters.items():
        prefix = f"optimizer/{name}/"
        state = {key.removeprefix(prefix): value for key, value in checkpoint.tensors.items() if key.startswith(prefix)}
        if state:
            optimizer.state[parameter] = {key: value if key == "step" else value.to(parameter.device) for key, value in state.items()}
