"""Before a training: what it will need, measured on two steps of it, and what to change where it does not fit."""

import os
import time
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ssrecon.core.draw import Draw
from ssrecon.training.trainer import Trainer


@dataclass(frozen=True)
class Preflight:
    """This is what two updates of a training cost. Nothing of it stays in the training that follows."""

    scans: tuple[int, int, int]
    """The numbers of scans that train, validate and test."""
    shapes: dict[str, int]
    parameters: int
    seconds_per_update: float
    updates_per_epoch: int
    steps: int
    memory_bytes: int
    """The memory expected at the peak of an update: weights, moments, gradients, the batch, and what autograd keeps."""
    available_bytes: int
    flops_per_update: float
    remarks: tuple[str, ...] = ()
    """The objective's remarks on what it was fitted to."""
    begun_anew: tuple[str, ...] = ()
    """The tensors of the network that the checkpoint it starts from does not have."""
    together: int = 1
    """The number of trainings that share the device."""
    processes: int = 1
    """The number of processes that share an update, under ``torchrun``."""
    scans_an_update: int = 1
    """The number of scans that an update takes, over all processes."""

    @property
    def fits(self) -> bool:
        return self.together * self.memory_bytes < 0.9 * self.available_bytes

    def lines(self) -> list[str]:
        """Return the measurements in words, line by line."""
        train, validation, test = self.scans
        shapes = ", ".join(f"{shape} ({count})" for shape, count in self.shapes.items())
        beside = f", times {self.together} trainings at a time" if self.together > 1 else ""
        alone = ", with the device to itself" if self.together > 1 else ""
        text = [
            f"scans       {train} to train on, {validation} to validate, {test} to test",
            f"shapes      {shapes}",
            f"parameters  {self.parameters:,}",
            f"memory      {self.memory_bytes / 1e9:.2f} GB expected{beside}, {self.available_bytes / 1e9:.1f} GB free",
            f"time        {self.seconds_per_update:.3g} s an update, {self.seconds_per_update * self.updates_per_epoch:.3g} s an epoch of "
            f"{self.updates_per_epoch} updates, about {self.seconds_per_update * self.steps / 60:.3g} min for {self.steps} updates, "
            f"validation apart{alone}",
            *([f"batch       {self.scans_an_update} scans an update over {self.processes} processes"] if self.processes > 1 else []),
            f"work        {self.flops_per_update / 1e9:.3g} GFLOP an update",
        ]
        if self.begun_anew:
            others = f" and {len(self.begun_anew) - 1} more" if len(self.begun_anew) > 1 else ""
            text.append(f"start       from the checkpoint, but for {self.begun_anew[0]}{others}, which it does not have")
        text += [f"objective   {remark}" for remark in self.remarks]
        if not self.fits:
            text.append(
                "it will not fit: try --network.recompute (memory of one unroll, a third slower), --network.mixed-precision, a smaller "
                "--training.batch-size, fewer --network.denoiser.channels, or compress coils with --data.calibrator.coils"
            )
        return text


def preflight(trainer: Trainer, together: int = 1) -> Preflight:
    """Run two updates on copies of the weights and measure them, on the largest scans first; `together` trainings will share the device."""
    schedule = trainer.schedule
    modules = [module for module in (trainer.network, trainer.auxiliary) if module is not None]
    weights = [{name: value.clone() for name, value in module.state_dict().items()} for module in modules]
    step = max(schedule.steps(0, len(schedule.epoch(0))), key=lambda s: len(s.ids) * _number_of_samples(trainer, s.ids[0]))
    prepared = [trainer.store.load(scan_id, reference=trainer.references) for scan_id in step.ids]
    scans = trainer.without_gamma(prepared)
    saved = _saved_bytes(trainer, scans)
    seconds = []
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten._fft_c2c: _fft_flops}) as flops:
        trainer.update(step, scans)
    for _ in range(2):
        started = time.perf_counter()
        trainer.update(step, scans)
        seconds.append(time.perf_counter() - started)
    parameters = sum(p.numel() for module in modules for p in module.parameters())
    batch_bytes = sum(v.element_size() * v.numel() for p in scans for v in (p.scan.kspace, p.scan.csm)) * 3
    for module, before in zip(modules, weights, strict=True):
        module.load_state_dict(before)
    trainer.optimizer.state.clear()
    shapes = Counter(_shape_text(trainer.store.shape(scan_id)) for scan_id, _ in schedule.kinds)
    return Preflight(
        scans=(len(trainer.assignment.train), len(trainer.assignment.validation), len(trainer.assignment.test)),
        shapes=dict(shapes),
        parameters=parameters,
        seconds_per_update=min(seconds),
        updates_per_epoch=len(schedule.epoch(0)),
        steps=trainer.updates,
        memory_bytes=saved + batch_bytes + 16 * parameters,
        available_bytes=_available_bytes(trainer.process.device),
        flops_per_update=float(flops.get_total_flops()),
        remarks=trainer.objective.remarks(),
        begun_anew=tuple(trainer.begun_anew),
        together=together,
        processes=trainer.process.world,
        scans_an_update=trainer.schedule.batch_size,
    )


def _number_of_samples(trainer: Trainer, scan_id: str) -> int:
    size = 1
    for n in trainer.store.shape(scan_id):
        size *= n
    return size


def _shape_text(shape: tuple[int, ...]) -> str:
    frames, coils, maps, *matrix = shape
    more = (f", {frames} frames" if frames > 1 else "") + (f", {maps} maps" if maps > 1 else "")
    return f"{'x'.join(map(str, matrix))}, {coils} coils{more}"


def _saved_bytes(trainer: Trainer, scans: list) -> int:
    """Return what autograd keeps for the backward pass, each storage counted once: the part of an update's memory that grows with the
    network.
    """
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        trainer.loss(scans, Draw(0))
    return sum(kept.values())


def _fft_flops(shape: tuple[int, ...], dims: list[int], *_: object, **__: object) -> int:
    """Count 5 N log2 N, as is the custom."""
    length, total = 1, 1
    for n in shape:
        total *= n
    for dim in dims:
        length *= shape[dim]
    return int(5 * total * max(1.0, torch.log2(torch.tensor(float(length))).item()))


def _available_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 1 << 62
