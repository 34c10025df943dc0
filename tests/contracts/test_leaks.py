"""From the file to the loss: what was not acquired changes no bit of anything that trains."""

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.fastmri_writer import write_fastmri
from ssrecon.archive.phantom import PhantomArchive
from ssrecon.calibrate import Calibrator
from ssrecon.draw import Draw
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import Objective
from ssrecon.undersampling import RandomColumns, undersample
from tests.contracts.classes import subclasses

SELF_SUPERVISED = [kind for kind in subclasses("ssrecon.objectives", Objective) if not kind.needs_reference]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A masked file, and the same with everything that its mask leaves out overwritten."""
    (full,) = PhantomArchive(subjects=1, slices=1, matrix=(48, 48), coils=4)
    scan = undersample(full, RandomColumns(2, 12), Draw(0))
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / "clean" / "scan.h5", folder / "poisoned" / "scan.h5"]
    for path in paths:
        path.parent.mkdir()
        mask = scan.mask[0, 0, 0, :, 0].numpy()
        write_fastmri(path, scan.kspace[0].numpy(), subject="s", mask=mask, noise=full.noise.numpy())
    with h5py.File(paths[1], "r+") as file:
        outside = ~np.asarray(file["mask"], dtype=bool)
        kspace = file["kspace"][()]
        kspace[..., outside] = 1e6 + 3j
        kspace[..., np.flatnonzero(outside)[:3]] = np.nan
        file["kspace"][...] = kspace
    return paths


@pytest.mark.parametrize("kind", SELF_SUPERVISED)
def test_poison_in_the_file_reaches_no_loss_and_no_gradient(files, kind):
    results = []
    for path in files:
        archive = open_archive(path)
        (prepared,) = Calibrator().volume(list(archive))
        network = Unrolled(ResNet(blocks=1, channels=4), unrolls=2, cg_iterations=3).build(0)
        loss = kind().loss(network, prepared.scan, None, Draw(0)).mean
        loss.backward()
        results.append([loss.detach(), prepared.scan.csm, prepared.scan.scale, *(p.grad for p in network.parameters())])
    assert all(torch.equal(clean, poisoned) for clean, poisoned in zip(*results, strict=True))
    assert torch.isfinite(results[0][0])
