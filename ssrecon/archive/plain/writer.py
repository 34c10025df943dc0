"""Writing the plain layout: what the reader reads of it is what stood in the scans."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import torch
from torch import Tensor

from ssrecon.archive.plain.about import write_about
from ssrecon.archive.plain.axes import LAYOUT, VERSION
from ssrecon.core.encoding import HybridSlice
from ssrecon.core.errors import BadInput
from ssrecon.core.files import whole_file
from ssrecon.core.scan import Scan


def write_plain(path: Path | str, scans: Sequence[Scan]) -> Path:
    """Write the scans of one volume in the plain layout; a file is replaced whole or not at all.

    K-space, mask, padding, csm, calibration and noise are written, and of the header what the layout has, times and geometry included;
    identifiers are not. Raises `BadInput` where there are no scans, or scans of different shapes.
    """
    path = Path(path)
    if len({scan.kspace.shape for scan in scans}) != 1:
        raise BadInput(path, found=f"{len(scans)} scans of different shapes, or none", expected="the scans of one volume, of one shape")
    header, dims = scans[0].header, scans[0].kspace.ndim - 3
    encoded = ("z", "y") if isinstance(header.encoding, HybridSlice) else ("z", "y", "x")[-dims:]
    arrays: dict[str, tuple[Tensor, tuple[str, ...]]] = {
        "kspace": (torch.cat([scan.kspace for scan in scans]), ("slice", "frame", "coil", *encoded)),
        "mask": (torch.cat([scan.mask[:, :, 0] for scan in scans]), ("slice", "frame", *encoded)),
        "padding": (torch.cat([scan.padding[:, :, 0] for scan in scans]), ("slice", "frame", *encoded)),
    }
    maps = [scan.csm for scan in scans if scan.csm is not None]
    apart = [scan.calibration for scan in scans if scan.calibration is not None]
    if any(len(given) not in (0, len(scans)) for given in (maps, apart)):
        raise BadInput(path, found="csm or calibration with some of the scans only", expected="with all of them, or with none")
    if maps:
        arrays["csm"] = (torch.cat(maps), ("slice", "map", "coil", *encoded))
    if apart:
        arrays["calibration"] = (torch.cat([part.kspace[:, 0] for part in apart]), ("slice", "coil", *encoded))
        arrays["calibration_mask"] = (torch.cat([part.mask[:, 0, 0] for part in apart]), ("slice", *encoded))
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["layout"], file.attrs["version"] = LAYOUT, VERSION
        for name, (data, axes) in arrays.items():
            file[name] = data.numpy()
            file[name].attrs["axes"] = " ".join(axes)
        if scans[0].noise is not None:
            file["noise"] = scans[0].noise.numpy()
            file["noise"].attrs["bandwidth_ratio"] = scans[0].noise_bandwidth_ratio
        write_about(file, [scan.header for scan in scans])
        if hybrid := [scan.header.encoding for scan in scans if isinstance(scan.header.encoding, HybridSlice)]:
            file.attrs["readout_positions"] = [encoding.position for encoding in hybrid]
            file.attrs["readout_length"] = hybrid[0].positions
    return path
