"""From the file to the loss: what was not acquired changes no bit of anything that trains."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.plain import write_plain
from ssrecon.calibrate import Calibrator
from ssrecon.core.draw import Draw
from ssrecon.objectives import Objective
from ssrecon.sampling import RandomColumns, undersample
from ssrecon.simulation import PhantomArchive
from tests.contracts.classes import subclasses
from tests.scans import EXAMPLE, SMALL_NETWORK, loss_of

SELF_SUPERVISED = [kind for kind in subclasses("ssrecon.objectives", Objective) if not kind.needs_reference]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file with two repetitions, each with its own mask, and the same with everything that the masks leave out overwritten."""
    (full,) = PhantomArchive(subjects=1, slices=1, matrix=(48, 48), coils=4)
    frames = [undersample(full, RandomColumns(2, 12), Draw(seed)) for seed in (0, 1)]
    kspace, mask = (torch.cat([getattr(frame, name) for frame in frames], dim=1) for name in ("kspace", "mask"))
    both = replace(full, kspace=kspace, mask=mask, padding=torch.zeros_like(mask), reference=None, truth=None)
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / "clean" / "scan.h5", folder / "poisoned" / "scan.h5"]
    for path in paths:
        path.parent.mkdir()
        write_plain(path, [both])
    with h5py.File(paths[1], "r+") as file:
        poisoned, outside = file["kspace"][()], ~np.broadcast_to(mask[0].numpy(), kspace.shape[1:])
        shape = poisoned.shape
        poisoned = poisoned.reshape(kspace.shape[1:])
        poisoned[outside] = 1e6 + 3j
        poisoned[tuple(np.argwhere(outside)[0])] = np.nan
        file["kspace"][...] = poisoned.reshape(shape)
    return paths


@pytest.mark.parametrize("kind", SELF_SUPERVISED)
def test_poison_in_the_file_reaches_no_loss_and_no_gradient(files, kind):
    results = []
    for path in files:
        archive = open_archive(path)
        (prepared,) = Calibrator().volume(list(archive))
        network = SMALL_NETWORK.build(0, EXAMPLE)
        loss = loss_of(kind().fitted([prepared.scan]), network, prepared.scan, None, Draw(0)).mean
        loss.backward()
        results.append([loss.detach(), prepared.scan.csm, prepared.scan.scale, *(p.grad for p in network.parameters())])
    assert all(torch.equal(clean, poisoned) for clean, poisoned in zip(*results, strict=True))
    assert torch.isfinite(results[0][0])
