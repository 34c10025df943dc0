"""From the slices of a volume as their file holds them to what networks see: whitened, compressed, with sensitivities, scaled."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from ssrecon.calibrate.compress import compression_matrix
from ssrecon.calibrate.connected import connected_coils, heard_coils
from ssrecon.calibrate.espirit import SCANS_AT_ONCE, espirit
from ssrecon.calibrate.noise_level import estimated_covariance
from ssrecon.calibrate.phase import virtual_coil
from ssrecon.calibrate.region import frames_region, require
from ssrecon.calibrate.scale import low_resolution_image, volume_scale
from ssrecon.calibrate.whiten import mix_coils, noise_covariance, whitening
from ssrecon.core.errors import BadInput, BadRecipe, at_least
from ssrecon.core.scan import CalibratedScan, Prepared, Scan
from ssrecon.core.shapes import checked
from ssrecon.core.window import crop
from ssrecon.operators.fourier import Fourier
from ssrecon.operators.sensitivity import Sensitivity
from ssrecon.sampling.centre import Sides, centred_region, region_mask

Item = TypeVar("Item")

MOST_SCANS = 9
"""The noise level is estimated on at most this many slices of a volume, spread over it."""

LARGEST_GROUP = 16
"""Slices whose sensitivities are found at once, where that is not a CPU."""

ALIASED_FRACTION = 0.07
"""Part of the first map set's support where the second has an eigenvalue above the crop too, from which on the object counts as larger than
the field of view (the median over slices). Of measured brains and phantoms it is 0 and, for the worst of them, .04; of the same with every
second line, which folds them, .12 to .74."""


@checked
@dataclass(frozen=True)
class Region:
    """Calibration data of one scan and where they came from."""

    kspace: Complex[Tensor, "1 frames coils *c"]
    sides: Sides
    """Of the box in the scan's own k-space; empty where the data were acquired apart from it."""
    noise: float | None = 1.0
    """The noise of these data relative to that of an acquired sample, less than 1 where frames were averaged; None where it cannot be told:
    data acquired apart (another bandwidth, other averages), and windows filled up with zeros."""


@dataclass(frozen=True)
class Calibrator:
    """How a volume is calibrated. Only the calibration region is looked at: neither the rest of Omega nor a reference changes a bit.

    The order is: leave out coils that are not connected (`VolumeCalibration.matrix`), whiten (all slices by one noise covariance), compress
    (one matrix a volume, so that slices agree), sensitivities (a slice at a time, of a phase relative to one virtual coil a volume), scale
    (one number a volume). A separate calibration scan is used where it is larger than the region in the scan itself, and
    a user's own csm in place of both: then whitening and compression are applied to it, and it is normalised to unit norm over the coils.
    """

    maps: int | None = 1
    """Map sets: two where the object is larger than the field of view; None finds out, once a volume (`ALIASED_FRACTION`)."""
    coils: int | None = None
    """Virtual coils to compress to; None keeps all coils as they are."""
    width: int = 24
    """Longest side of the calibration region that is used."""
    smallest: int = 12
    """Shortest side that is accepted."""
    kernel: int = 6
    threshold: float = 0.02
    """Smallest singular value of the kernels kept, relative to the largest; where the noise level is known, noise alone is dropped too."""
    crop: float = 0.9
    """Smallest eigenvalue. Between `espirit`'s own .95, which on noisy scans cuts into objects at the edge of the field of view, and .8,
    with which so much background stays that CG-SENSE errs by 15 % more (T1 brain, R=4, 4 coils)."""

    def __post_init__(self) -> None:
        at_least(self, maps=1, coils=1, kernel=2, smallest=self.kernel, width=self.smallest, threshold=0, crop=0)
        if self.coils is not None and self.maps is not None and self.maps > self.coils:
            raise BadRecipe("Calibrator.maps", found=f"{self.maps} map sets of {self.coils} coils", expected="at most as many as coils")

    def volume(self, scans: Sequence[Scan]) -> list[Prepared]:
        """All the slices of one volume, fitted and applied."""
        fitted = self.fit(scans)
        return list(fitted.each(scans))

    def fit(self, scans: Iterable[Scan]) -> "VolumeCalibration":
        """What the slices of a volume share. Scans are looked at one after another, and no more than their calibration data is kept.

        Raises BadInput naming the scan whose acquired values are not finite, whose mask samples nothing or whose shapes do not fit, and
        NoCalibration where a scan has no region large enough.
        """
        first: Scan | None = None
        noise: Scan | None = None
        regions: list[Region] = []
        csms: list[Tensor | None] = []
        shapes: list[Sides] = []
        names: list[str] = []
        heard: list[Tensor] = []
        for scan in scans:
            _check(scan)
            first = scan if first is None else first
            if scan.kspace.shape[2] != first.kspace.shape[2]:
                raise BadInput(scan.scan_id, f"{scan.kspace.shape[2]} coils", f"{first.kspace.shape[2]}, as in the volume's first scan")
            if noise is None and scan.noise is not None:
                noise = scan
            regions.append(_copy(self.region(scan)))
            heard.append(heard_coils(scan, regions[-1].kspace))
            csms.append(scan.csm)
            shapes.append(tuple(scan.kspace.shape[3:]))
            names.append(scan.scan_id)
        if first is None:
            raise BadInput("volume", "no scans", "at least one")
        connected, silent = connected_coils(names, heard)
        matrix, source, notes = _whiten(noise, regions, connected)
        notes = (*silent, *notes)
        if len(matrix) < (self.maps or 1):
            raise BadInput(names[0], f"{len(matrix)} coils", f"at least {self.maps}, for so many map sets")
        white = [replace(region, kspace=mix_coils(matrix, region.kspace)) for region in regions]
        if self.coils is not None:
            samples = torch.cat([region.kspace.transpose(0, 2).flatten(1).mT for region in white])
            compress = compression_matrix(samples, self.coils).to(matrix.device)
            matrix = compress @ matrix
        chosen, folded = self._chosen(regions, csms, shapes, matrix, source)
        images = []
        for group in _alike(zip(zip(csms, shapes, strict=True), regions, strict=True), lambda it: (it[0][0] is None, it[0][1])):
            (_, shape), region = group[0]
            data = mix_coils(matrix, torch.cat([region.kspace for _, region in group]))
            given = [_own(csm, matrix) for (csm, _), _ in group if csm is not None]
            maps = torch.cat(given) if given else chosen._small(data, region.noise, shape, source)
            images += [low_resolution_image(one[None], csm[None], shape) for one, csm in zip(data, maps, strict=True)]
        scale = volume_scale(images)
        if not scale > 0:
            raise BadInput(
                names[0], f"no signal in the calibration region of its volume ({len(names)} scans)", "an object in the field of view"
            )
        reference = virtual_coil([mix_coils(matrix, region.kspace) for region in regions])
        return VolumeCalibration(chosen, matrix, scale, source, notes, folded, reference)

    def _chosen(
        self, regions: Sequence[Region], csms: Sequence[Tensor | None], shapes: Sequence[Sides], matrix: Tensor, source: str
    ) -> tuple["Calibrator", float | None]:
        """This calibrator with the number of map sets that the volume needs, and what that was decided by."""
        if self.maps is not None:
            return self, None
        one, two = replace(self, maps=1), replace(self, maps=2)
        own = [(region, shape) for region, csm, shape in zip(regions, csms, shapes, strict=True) if csm is None]
        if len(matrix) < 2 or not own:
            return one, None
        parts = []
        for region, shape in own[:: max(1, -(-len(own) // MOST_SCANS))]:
            maps = two._small(mix_coils(matrix, region.kspace), region.noise, shape, source)
            first, second = (maps.abs().sum(dim=2)[0] > 0).flatten(1)
            parts.append(float((first & second).sum()) / max(1, int(first.sum())))
        folded = float(torch.tensor(parts).median())
        return (two if folded > ALIASED_FRACTION else one), folded

    def _small(self, data: Complex[Tensor, "batch frames coils *c"], noise: float | None, shape: Sides, source: str) -> Tensor:
        """Sensitivities on as coarse a grid as the calibration region allows."""
        grid = tuple(min(n, 2 * side) for n, side in zip(shape, data.shape[3:], strict=True))
        return self.sensitivities(data, grid, noise if source != "unknown" else None)

    def region(self, scan: Scan) -> Region:
        """The calibration data of a scan: the larger of the region in its own k-space and a separate calibration; the mean over frames
        where frames share a region between them."""
        where, shape = scan.scan_id, tuple(scan.kspace.shape[3:])
        own, every = frames_region(scan.mask & ~scan.padding, self.width, self.smallest)
        if scan.calibration is not None:
            apart = centred_region(scan.calibration.mask[0, 0, 0], self.width)
            if min(apart) >= self.smallest and _volume(apart) > _volume(own):
                data = crop(scan.calibration.kspace, apart)
                _finite(data, f"{where} (calibration)")
                return Region(data, (), noise=None)
        if scan.csm is not None and min(own) < self.smallest:
            return _what_there_is(scan, self.width)
        require(where, own, shape, self.smallest)
        data = crop(scan.kspace, own)
        if every:
            return Region(data, own)
        mask = crop(scan.mask, own)
        count = mask.sum(dim=1, keepdim=True)
        level = float(count.double().reciprocal().mean().sqrt())
        return Region(torch.where(mask, data, 0).sum(dim=1, keepdim=True) / count, own, level)

    @checked
    def sensitivities(
        self,
        calibration: Complex[Tensor, "batch frames coils *c"],
        shape: Sides,
        noise_std: float | None = None,
        reference: Complex[Tensor, " coils"] | None = None,
    ) -> Complex[Tensor, "batch maps coils *x"]:
        return espirit(calibration, shape, self.maps or 1, self.kernel, self.threshold, self.crop, noise_std, reference)


@checked
@dataclass(frozen=True)
class VolumeCalibration:
    """A calibrator fitted to one volume; applied to its slices."""

    calibrator: Calibrator
    matrix: Complex[Tensor, "virtual coils"]
    """Whitening, then compression. Its columns are the coils of the file; those of coils that are not connected are zero, and there are
    no rows for them, so that stored scans have fewer coils. A coil is not connected that has no noise in the noise scan, or that is zero
    in any frame of a scan whose other coils are not: slices and frames share one shape and one noise, and what a coil that is silent in
    some of them misses there would be taken for noise that is smaller than it is."""
    scale: float
    noise_source: str
    notes: tuple[str, ...] = ()
    folded: float | None = None
    """What the number of map sets was decided by, where it was left open: see `ALIASED_FRACTION`."""
    reference: Complex[Tensor, " virtual"] | None = None
    """Weights of the virtual coil that the phase of all slices' sensitivities is relative to; each slice's own where there is none."""

    def record(self) -> dict[str, Any]:
        """What was done, in numbers, so that it can be explained or undone: coils as stored are `matrix` (rows of [real, imaginary]) times
        the receiver's own, over `scale`; its pseudo-inverse leads back."""
        return {
            "matrix": torch.view_as_real(self.matrix.cpu().to(torch.complex128)).tolist(),
            "scale": self.scale,
            "noise_source": self.noise_source,
            "maps": self.calibrator.maps,
            "folded": self.folded,
            "notes": list(self.notes),
        }

    def apply(self, scan: Scan) -> Prepared:
        """One scan: see `each`."""
        (prepared,) = self.each([scan])
        return prepared

    def each(self, scans: Iterable[Scan]) -> Iterator[Prepared]:
        """Every scan, its reference and its truth, all through the same matrix, csm and scale; one after another as they are asked for. On
        a device the sensitivities of up to `LARGEST_GROUP` scans of one shape are found at once, and these are in memory together."""
        for group in _alike(map(self._looked_at, scans), lambda it: (it[0].csm is None, it[0].kspace.shape[3:])):
            for (scan, region), csm in zip(group, self._csm(group).split(1), strict=True):
                yield self._prepared(scan, region, csm)

    def _looked_at(self, scan: Scan) -> tuple[Scan, Region]:
        _check(scan)
        return scan, self.calibrator.region(scan)

    def _csm(self, group: Sequence[tuple[Scan, Region]]) -> Complex[Tensor, "batch maps coils *x"]:
        given = [_own(scan.csm, self.matrix) for scan, _ in group if scan.csm is not None]
        if given:
            return torch.cat(given)
        data = mix_coils(self.matrix, torch.cat([region.kspace for _, region in group]))
        scan, region = group[0]
        noise = region.noise if self.noise_source != "unknown" else None
        return self.calibrator.sensitivities(data, tuple(scan.kspace.shape[3:]), noise, self.reference)

    def _prepared(self, scan: Scan, region: Region, csm: Complex[Tensor, "1 maps coils *x"]) -> Prepared:
        shape = tuple(scan.kspace.shape[3:])
        inside = region_mask(shape, region.sides) if region.sides else torch.zeros(1, 1, 1, *shape, dtype=torch.bool)
        device, mask = scan.kspace.device, scan.mask & ~scan.padding
        known = self.noise_source != "unknown"
        calibrated = CalibratedScan(
            headers=(replace(scan.header, notes={**scan.header.notes, **self._notes(csm)}),),
            kspace=self._units(torch.where(mask, scan.kspace, 0)),
            mask=mask,
            padding=scan.padding,
            csm=csm,
            calibration=inside.to(device) & mask.any(dim=1, keepdim=True),
            scale=torch.tensor([self.scale], device=device),
            noise_std=torch.tensor([1 / self.scale], device=device) if known else None,
            noise_source=self.noise_source,
        )
        reference = truth = None
        if scan.reference is not None:
            full = ~scan.padding if scan.reference_mask is None else scan.reference_mask & ~scan.padding
            reference = replace(calibrated, kspace=self._units(torch.where(full, scan.reference, 0)), mask=full)
        if scan.truth is not None:
            truth = Sensitivity(csm).adjoint(Fourier(len(shape)).adjoint(self._units(scan.truth)))
        return Prepared(calibrated, reference, truth)

    def _units(self, kspace: Tensor) -> Tensor:
        return mix_coils(self.matrix / self.scale, kspace)

    def _notes(self, csm: Tensor) -> dict[str, str]:
        notes = {"whitening": "; ".join(self.notes)} if self.notes else {}
        if self.folded is not None:
            larger = "larger than" if self.calibrator.maps == 2 else "within"
            notes["maps"] = f"{self.calibrator.maps}: the object is {larger} the field of view (second map on {self.folded:.1%} of it)"
        return notes if bool((csm != 0).any()) else {**notes, "csm": "zero everywhere: no pixel passed the eigenvalue crop"}


def _alike(items: Iterable[tuple[Item, Region]], kind: Callable[[tuple[Item, Region]], Hashable]) -> Iterator[list[tuple[Item, Region]]]:
    """Neighbours of one kind, with regions that fit, in groups: of one on a CPU, where memory is bounded by a slice, larger elsewhere."""
    group: list[tuple[Item, Region]] = []
    sort: Hashable = None
    for item in items:
        data = item[1].kspace
        own = (kind(item), tuple(data.shape), item[1].noise)
        if group and (own != sort or len(group) >= SCANS_AT_ONCE.get(data.device.type, LARGEST_GROUP)):
            yield group
            group = []
        group, sort = [*group, item], own
    if group:
        yield group


def _whiten(noise: Scan | None, regions: list[Region], connected: Bool[Tensor, " coils"]) -> tuple[Tensor, str, tuple[str, ...]]:
    """The whitening matrix of the connected coils, where it came from, and notes."""
    if noise is not None and noise.noise is not None:
        where = f"{noise.scan_id} (noise scan)"
        found = whitening(noise_covariance(noise.noise, noise.noise_bandwidth_ratio, where), where, connected)
        return found.matrix.to(noise.kspace.device), "noise scan", found.notes
    data = regions[0].kspace
    connected = connected.to(data.device)
    known = [(region, region.noise) for region in regions if region.noise is not None]
    scans = [frame / level for region, level in known for frame in region.kspace[0] if frame.shape == known[0][0].kspace.shape[2:]]
    scans = scans[:: max(1, -(-len(scans) // MOST_SCANS))]
    covariance = estimated_covariance(torch.stack(scans) * connected.reshape(-1, *[1] * (data.ndim - 3))) if scans else None
    if covariance is not None:
        found = whitening(covariance, "calibration matrix", connected)
        return found.matrix.to(data.device), "calibration matrix", found.notes
    return torch.eye(data.shape[2], dtype=data.dtype, device=data.device)[connected], "unknown", ()


def _own(csm: Tensor, matrix: Tensor) -> Tensor:
    """A user's csm in the coils of `matrix`, of unit norm over the coils wherever it is not zero."""
    mixed = mix_coils(matrix, csm.to(matrix.device))
    norm = torch.linalg.vector_norm(mixed, dim=2, keepdim=True)
    return torch.where(norm > 0, mixed / norm, 0)


def _what_there_is(scan: Scan, width: int) -> Region:
    """With a csm of the user's own only the scale is wanted: the acquired samples of the central window will do."""
    shape = tuple(scan.kspace.shape[3:])
    sides = tuple(min(width, n) for n in shape)
    mask = crop(scan.mask & ~scan.padding, sides)
    if not bool(mask.any()):
        raise BadInput(
            scan.scan_id, f"nothing sampled in the central {width} x {width} of k-space", "samples there, from which to find the scale"
        )
    return Region(torch.where(mask, crop(scan.kspace, sides), 0), sides, noise=None)


def _check(scan: Scan) -> None:
    if scan.csm is not None and scan.csm.shape[3:] != scan.kspace.shape[3:]:
        raise BadInput(scan.scan_id, f"a csm of shape {tuple(scan.csm.shape)}", f"maps of {tuple(scan.kspace.shape[3:])}, as its k-space")
    if not bool(scan.mask.any()):
        raise BadInput(scan.scan_id, "a mask that samples nothing", "acquired samples")
    _finite(torch.where(scan.mask & ~scan.padding, scan.kspace, 0), scan.scan_id)


def _finite(kspace: Tensor, where: str) -> None:
    bad = int((~torch.isfinite(torch.view_as_real(kspace))).any(dim=-1).sum())
    if bad:
        raise BadInput(where, f"{bad} acquired values that are not finite", "finite k-space wherever the mask says that it was acquired")


def _volume(sides: Sides) -> int:
    return int(torch.tensor(sides).prod())


def _copy(region: Region) -> Region:
    return replace(region, kspace=region.kspace.clone())
