"""A scan from arrays that somebody has in memory already, in NumPy or torch, whatever the order of their axes."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ssrecon.core.encoding import Encoding, GridPoints, HybridSlice, WholeLines
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Calibration, Header, Scan
from ssrecon.sampling.lines import line_by_line

Array = np.ndarray | Tensor

ORDER = ("frame", "coil", "z", "y", "x")
"""The words for axes, in the order of `Scan.kspace`: z and y are phase-encoded, x is the readout."""
DIRECTIONS = {"z": "slice", "y": "phase", "x": "read"}
"""The words for the same axes in `Geometry.axes`."""
DEFAULT = "coil y x"
WHERE = "scan_from_arrays"


def scan_from_arrays(
    kspace: Array,
    mask: Array | None = None,
    csm: Array | None = None,
    noise: Array | None = None,
    calibration: Array | None = None,
    axes: str | None = DEFAULT,
    header: Header | None = None,
) -> Scan:
    """Make one scan from arrays: NumPy or torch, of any complex type. The scan is complex64 and shares no memory with them.

    - `kspace` has the axes that `axes` names in its own order, of the words ``frame coil z y x``: ``"coil y x"`` (None is this),
      ``"y x coil"``, ``"coil z y x"`` for a 3-D scan, ``"coil z y"`` for a slice of one that was transformed along its readout. DC is
      at ``N // 2`` and the transform is orthonormal, as everywhere. A volume of slices is several scans:
      ``[scan_from_arrays(k, header=...) for k in kspace]``, whose headers share their `volume_id`.
    - `mask` has the same axes without the coil's, or without the frame's too where all frames share it; axes of length 1 are stretched.
      True (or 1) is acquired. Without a mask everything counts as acquired that is not zero in every coil.
    - `csm` has the axes of `kspace` without the frame's, or one more, the first, for several sets of maps. It is in image space.
    - `noise` is ``(coils, samples)`` or ``(readouts, coils, samples)``: the receivers with no signal.
    - `calibration` is k-space that was acquired apart, with the axes of `kspace` without the frame's and a matrix of its own.
    - `header` holds what else is known; its encoding, its encoded matrix and the axes of its geometry are set from the arrays.

    The encoding is `WholeLines` where the mask holds whole lines along x, else `GridPoints`. Without x it is `HybridSlice`, whose place
    along the readout is that of the header's own encoding, where that is one too. What lies outside the mask is dropped, be it NaN.
    Everything lies on the device of `kspace`.

    ``Calibrator().volume([scan])[0].scan`` is the `CalibratedScan`; where sensitivities are given and the noise is white,
    ``CalibratedScan.white(scan, noise_std)`` is one too.

    Raises BadInput, naming the array or argument, for one of another type or without values, an axis that is not known or missing, a wrong
    number of axes, shapes that do not fit, k-space that is real, values that are not finite where they were acquired, and a mask that
    samples nothing.
    """
    names = _axis_names(DEFAULT if axes is None else axes)
    _require("header", header is None or isinstance(header, Header), f"a {type(header).__name__}", "a Header (ssrecon.core.scan), or None")
    single = tuple(name for name in names if name != "frame")
    data = _in_order(_complex(kspace, "kspace"), names, "kspace", names)
    frames, coils, *matrix = data.shape
    acquired = (data != 0).any(dim=1, keepdim=True) if mask is None else _read_mask(mask, names, data)
    if not bool(acquired.any()):
        found = "k-space of zeros alone (in single precision) and no mask" if mask is None else "a mask that is False everywhere"
        raise BadInput(f"{WHERE}: mask", found=found, expected="at least one acquired sample")
    data = _finite(torch.where(acquired, data, 0), "kspace")
    maps = None if csm is None else _read_maps(csm, names, (coils, *matrix))
    apart = None
    if calibration is not None:
        lines = _finite(_in_order(_complex(calibration, "calibration"), single, "calibration", names), "calibration")
        _require("calibration", lines.shape[1] == coils, f"{lines.shape[1]} coils", f"{coils}, as in kspace")
        _require("calibration", bool((lines != 0).any()), "zeros alone", "samples about the centre of k-space")
        apart = Calibration(lines[None].to(data.device), (lines != 0).any(dim=1, keepdim=True)[None].to(data.device))
    about = header or Header("array", "array", "array")
    geometry = replace(about.geometry, axes=tuple(DIRECTIONS[name] for name in ("z", "y", "x") if name in names))
    encoding = _encoding(names, acquired[:, 0].cpu().numpy(), about)
    about = replace(about, encoded_matrix=tuple(matrix), encoding=encoding, geometry=geometry)
    return Scan(
        header=about if about.recon_matrix else replace(about, recon_matrix=tuple(matrix)),
        kspace=data[None].contiguous(),
        mask=acquired[None].clone(),
        padding=torch.zeros_like(acquired)[None],
        noise=None if noise is None else _read_noise(noise, coils).to(data.device),
        calibration=apart,
        csm=None if maps is None else maps.to(data.device),
    )


def _encoding(names: tuple[str, ...], acquired: np.ndarray, header: Header) -> Encoding:
    if "x" in names:
        return WholeLines() if line_by_line(acquired) else GridPoints()
    return header.encoding if isinstance(header.encoding, HybridSlice) else HybridSlice()


def _axis_names(axes: object) -> tuple[str, ...]:
    where = f"{WHERE}: axes"
    if not isinstance(axes, str):
        raise BadInput(where, found=f"{axes!r}", expected="one text with the words for all axes, such as 'coil y x'")
    names = tuple(axes.split())
    for name in names:
        if name == "slice":
            raise BadInput(where, found=f"{axes!r}", expected="one slice at a time: a scan is one slice, a volume is several scans")
        if name not in ORDER:
            raise BadInput(where, found=f"an axis {name!r} in {axes!r}", expected=f"words among {' '.join(ORDER)}")
    if len(set(names)) != len(names):
        raise BadInput(where, found=f"{axes!r}", expected="every axis once")
    if "coil" not in names or "y" not in names or not {"z", "x"} & set(names):
        raise BadInput(where, found=f"{axes!r}", expected="coil, y, and x or z among them, such as 'coil y x'")
    return names


def _in_order(array: Tensor, names: tuple[str, ...], what: str, known: tuple[str, ...]) -> Tensor:
    """Return ``frames coils *k`` of an array whose axes are `names`; a mask has one coil."""
    wanted = f"{len(names)} axes ({' '.join(names)})"
    _require(what, array.ndim == len(names), f"{array.ndim} axes of lengths {tuple(array.shape)}", wanted)
    _require(what, array.numel() > 0, f"an empty array of shape {tuple(array.shape)}", f"{wanted}, none of length 0")
    order = [name for name in ORDER if name in names]
    turned = array.permute([names.index(name) for name in order])
    for place, name in ((0, "frame"), (1, "coil")):
        turned = turned if name in names else turned.unsqueeze(place)
    return turned


def _read_mask(mask: Array, names: tuple[str, ...], data: Tensor) -> Tensor:
    values = _tensor(mask, "mask").to(data.device)
    if values.dtype != torch.bool:
        _require("mask", bool(((values == 0) | (values == 1)).all()), f"values of {values.dtype} other than 0 and 1", "True and False")
        values = values != 0
    own = tuple(name for name in names if name != "coil")
    shared = tuple(name for name in own if name != "frame")
    lengths = dict(zip(ORDER, (data.shape[0], data.shape[1]), strict=False))
    lengths |= dict(zip([name for name in ORDER[2:] if name in names], data.shape[2:], strict=True))
    for given in (own, shared):
        if values.ndim == len(given) and all(n in (1, lengths[name]) for n, name in zip(values.shape, given, strict=True)):
            return _in_order(values, given, "mask", names).expand(data.shape[0], 1, *data.shape[2:])
    expected = " or ".join(f"({' '.join(given)}) = {tuple(lengths[name] for name in given)}" for given in dict.fromkeys((own, shared)))
    raise BadInput(f"{WHERE}: mask", found=f"shape {tuple(values.shape)}", expected=expected)


def _read_maps(csm: Array, names: tuple[str, ...], coils_matrix: tuple[int, ...]) -> Tensor:
    single = tuple(name for name in names if name != "frame")
    values = _complex(csm, "csm")
    values = values if values.ndim == len(single) + 1 else values[None]
    _require("csm", values.ndim == len(single) + 1, f"{values.ndim - 1} axes of lengths {tuple(values.shape[1:])}", " ".join(single))
    turned = torch.stack([_in_order(one, single, "csm", names)[0] for one in values])
    wanted = dict(zip([name for name in ORDER[1:] if name in names], coils_matrix, strict=True))
    fits = tuple(turned.shape[1:]) == tuple(coils_matrix)
    expected = f"({' '.join(single)}) = {tuple(wanted[name] for name in single)}, as kspace has, or one axis more for sets of maps"
    _require("csm", fits, f"shape {tuple(csm.shape)}", expected)
    return _finite(turned, "csm")[None].contiguous()


def _read_noise(noise: Array, coils: int) -> Tensor:
    values = _finite(_complex(noise, "noise"), "noise")
    values = values[None] if values.ndim == 2 else values
    fits = values.ndim == 3 and values.shape[1] == coils
    expected = f"(coils, samples) or (readouts, coils, samples), with {coils} coils as kspace has"
    _require("noise", fits, f"shape {tuple(noise.shape)}", expected)
    return values.contiguous()


def _tensor(array: Array, what: str) -> Tensor:
    """Return a tensor that never shares the array's own memory."""
    if isinstance(array, Tensor):
        is_dense = array.layout is torch.strided and not array.is_meta
        found = "a meta tensor, which has no values" if array.is_meta else f"a tensor of layout {array.layout}"
        _require(what, is_dense, found, "a dense tensor, as to_dense() gives it")
        return array.detach().resolve_conj().clone()
    _require(what, isinstance(array, np.ndarray), f"a {type(array).__name__}", "a NumPy array or a tensor")
    masked = isinstance(array, np.ma.MaskedArray) and bool(np.ma.getmaskarray(array).any())
    _require(what, not masked, "a masked array", "its values, such as array.filled(0), and what was acquired as `mask`")
    _require(what, array.dtype.kind in "biufc", f"an array of {array.dtype}", "numbers")
    # Of the machine's byte order and of at most 64 bits a number: torch knows no other.
    kind = array.dtype if array.dtype.kind in "biu" else np.result_type(np.complex64 if array.dtype.kind == "c" else np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        return torch.from_numpy(np.array(array, dtype=kind.newbyteorder("=")))


def _complex(array: Array, what: str) -> Tensor:
    values = _tensor(array, what)
    expected = "complex values: real and imaginary parts in a last axis become some by torch.view_as_complex"
    _require(what, values.is_complex(), f"real values of {values.dtype}, shape {tuple(values.shape)}", expected)
    return values.to(torch.complex64)


def _finite(values: Tensor, what: str) -> Tensor:
    bad = int((~torch.isfinite(torch.view_as_real(values))).any(dim=-1).sum())
    _require(what, bad == 0, f"{bad} values that are not finite, where they count", "finite values (in single precision)")
    return values


def _require(what: str, right: bool, found: str, expected: str) -> None:
    if not right:
        raise BadInput(f"{WHERE}: {what}", found=found, expected=expected)
