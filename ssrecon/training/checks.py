"""What is held against a recipe and its scans before anything is trained, and against every loss while it is."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from ssrecon.archive.splits import Assignment
from ssrecon.core.distributed import Process
from ssrecon.core.errors import BadInput, BadRecipe, TrainingDiverged
from ssrecon.networks import NetworkSpec
from ssrecon.networks.base import DenoiserSpec, parts
from ssrecon.objectives import Objective
from ssrecon.objectives.measurement import NOISE_FROM
from ssrecon.recipe.recipe import Recipe, Training
from ssrecon.store.dataset import ScanDataset
from ssrecon.store.loader import Step


def check_recipe(recipe: Recipe, store: ScanDataset, assignment: Assignment, process: Process) -> None:
    """Raise BadRecipe or BadInput for whatever would end, or idle, a training of this recipe on these scans."""
    if not assignment.train:
        raise BadRecipe("data.split", found="no scan to train on", expected="at least one training subject")
    if not assignment.validation:
        raise BadRecipe("data.split", found="no scan to validate on", expected="at least one subject: the checkpoint is chosen on it")
    training = recipe.training
    if training.shared_batch and training.batch_size < process.world:
        raise BadRecipe(
            "training.batch_size",
            found=f"{training.batch_size} scans an update for {process.world} processes, of which some would idle",
            expected=f"{process.world} or more, or --training.no-shared-batch for so many scans of each process",
        )
    check_dims(recipe.network, store, [*assignment.train, *assignment.validation, *assignment.test])
    check_scans(recipe.objective, store, assignment.train)


def scans_an_update(training: Training, process: Process) -> int:
    """Return how many scans an update takes, over all processes."""
    return training.batch_size * (1 if training.shared_batch else process.world)


def check_dims(network: NetworkSpec, store: ScanDataset, scan_ids: Sequence[str]) -> None:
    """Raise BadRecipe, naming a scan and the denoiser, where a network takes no images of so many axes."""
    denoisers = [part for part in parts(network) if isinstance(part, DenoiserSpec)]
    for scan_id in scan_ids:
        dims = len(store.shape(scan_id)) - 3
        for denoiser in denoisers:
            if dims not in denoiser.dims:
                able = sorted(kind.__name__ for kind in DenoiserSpec.__subclasses__() if dims in kind.dims)
                others = f"one of {', '.join(able)}" if able else "none of this version does"
                takes = "- or ".join(map(str, denoiser.dims))
                raise BadRecipe(
                    "network",
                    found=f"{type(denoiser).__name__}, which takes {takes}-D images, for {scan_id} in {dims}-D",
                    expected=f"a denoiser that takes {dims}-D images ({others}), or hybrid slices: prepare without --no-hybrid",
                )


def frozen(patterns: Sequence[str], parameters: Mapping[str, nn.Parameter]) -> frozenset[str]:
    """Return the names of the parameters that are not trained. Raises BadRecipe for a pattern of none, and where nothing is left to
    train.
    """
    found = set()
    for pattern in patterns:
        matched = {name for name in parameters if fnmatchcase(name, pattern)}
        if not matched:
            listed = ", ".join(list(parameters)[:3])
            raise BadRecipe("training.frozen", found=f"{pattern!r}, which no parameter is called", expected=f"names such as {listed}")
        found |= matched
    if parameters and len(found) == len(parameters):
        raise BadRecipe("training.frozen", found="every parameter", expected="some that are trained")
    return frozenset(found)


def check_scans(objective: Objective, store: ScanDataset, scan_ids: Sequence[str]) -> None:
    """Raise BadInput, naming a scan, where training scans lack what the objective cannot do without; before anything is trained."""
    name, count = type(objective).__name__, len(scan_ids)
    bare = [scan_id for scan_id in scan_ids if not store.has_reference(scan_id)]
    if (objective.needs_reference and bare) or (objective.takes_reference and len(bare) == count):
        wanted = "references" if objective.needs_reference else "a few references"
        raise BadInput(
            bare[0],
            found=f"no fully sampled reference in {len(bare)} of {count} training scans",
            expected=f"{wanted}, which {name} trains on: what `data.pattern` undersamples of fully sampled scans becomes one",
        )
    silent = [scan_id for scan_id in scan_ids if not store.noise_known(scan_id)]
    if objective.needs_noise_level and silent:
        raise BadInput(silent[0], found=f"an unknown noise level in {len(silent)} of {count} training scans", expected=NOISE_FROM)


def check_finite(step: Step, ids: Sequence[str], terms: Mapping[str, Tensor]) -> None:
    """Raise TrainingDiverged, naming the step, the scan and the term, where a value of a loss is not finite."""
    for name, values in terms.items():
        finite = torch.isfinite(values)
        if not finite.all():
            scan = ids[int((~finite).nonzero()[0, 0])]
            raise TrainingDiverged(f"step {step.number}, scan {scan}: the term {name!r} is not finite; the last checkpoint is good")
