"""How a volume is calibrated: what its scans share is found from their calibration data."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from ssrecon.calibrate.checks import check_scan
from ssrecon.calibrate.compress import compression_matrix
from ssrecon.calibrate.espirit import espirit
from ssrecon.calibrate.groups import groups_of_one_kind, kind_of
from ssrecon.calibrate.noise_level import estimated_covariance
from ssrecon.calibrate.phase import virtual_coil
from ssrecon.calibrate.region import Region, calibration_region
from ssrecon.calibrate.scale import low_resolution_image, volume_scale
from ssrecon.calibrate.volume_calibration import VolumeCalibration, given_csm
from ssrecon.calibrate.whiten import Whitening, coils_with_noise, mix_coils, noise_covariance, whitening
from ssrecon.core.connected import connected_coils, heard_coils
from ssrecon.core.errors import BadInput, BadRecipe, at_least
from ssrecon.core.scan import Prepared, Scan
from ssrecon.core.shapes import checked
from ssrecon.sampling.centre import Sides

MOST_SCANS = 9
"""Noise level and number of map sets are estimated on at most this many slices of a volume, spread over it."""

ALIASED_FRACTION = 0.07
"""Part of the first map set's support where the second has an eigenvalue above the crop too, from which on the object counts as larger than
the field of view (the median over slices). Of measured brains and phantoms it is 0 and, for the worst of them, .04; of the same with every
second line, which folds them, .12 to .74."""


@dataclass(frozen=True)
class _CalibrationData:
    """What is kept of one scan while its volume is fitted."""

    scan_id: str
    shape: Sides
    csm: Tensor | None
    region: Region
    heard: Bool[Tensor, "parts coils"]


@dataclass(frozen=True)
class _NoiseScan:
    name: str
    samples: Complex[Tensor, "readouts coils samples"]
    bandwidth_ratio: float
    device: torch.device


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
        """Return all the slices of one volume, fitted and applied."""
        fitted = self.fit(scans)
        return list(fitted.each(scans))

    def fit(self, scans: Iterable[Scan]) -> VolumeCalibration:
        """Return what the slices of a volume share. Scans are looked at one after another, and only their calibration data are kept.

        Raises BadInput naming the scan whose acquired values are not finite, whose mask samples nothing or whose shapes do not fit, and
        NoCalibration where a scan has no region large enough.
        """
        slices, noise = self._calibration_data(scans)
        first, regions = slices[0].scan_id, [item.region for item in slices]
        connected, silent = connected_coils([item.scan_id for item in slices], [item.heard for item in slices])
        white, source = _whitening(noise, regions, connected)
        self._check_coils(first, len(white.matrix))
        matrix = white.matrix if self.coils is None else _compressed(white.matrix, regions, self.coils)
        fitted, folded = self._with_map_sets(slices, matrix, source != "unknown")
        scale = fitted._scale(slices, matrix, source != "unknown")
        if not scale > 0:
            found = f"no signal in the calibration region of its volume ({len(slices)} scans)"
            raise BadInput(first, found, "an object in the field of view")
        reference = virtual_coil([mix_coils(matrix, region.kspace) for region in regions])
        return VolumeCalibration(fitted, matrix, scale, source, (*silent, *white.notes), folded, reference)

    def region(self, scan: Scan) -> Region:
        """Return the calibration data of a scan (`calibration_region`). Raises NoCalibration where no region is large enough."""
        return calibration_region(scan, self.width, self.smallest)

    def check(self, scan: Scan) -> None:
        """Raise the BadInput with which `fit` would refuse a volume of this one scan, at less cost.

        It is refused where `region` finds no calibration data, where all coils are silent, where the noise scan cannot whiten them
        (`noise_covariance`, `whitening`), and where fewer coils are connected than `maps` asks for.
        """
        check_scan(scan)
        region = self.region(scan)
        connected, _ = connected_coils([scan.scan_id], [_heard(scan, region)])
        noise = _noise_scan(scan)
        self._check_coils(scan.scan_id, int(connected.sum()) if noise is None else len(_whitening(noise, [region], connected)[0].matrix))

    def can_estimate_noise(self, scan: Scan) -> bool:
        """Tell whether the noise level of a scan without a noise measurement can be estimated from its calibration region.

        The region is to lie in the scan's own k-space, with samples everywhere, and none of its sides may be shorter than
        `ssrecon.calibrate.noise_level.SHORTEST_SIDE`.
        """
        try:
            return self.region(scan).tells_noise
        except BadInput:
            return False

    def connected(self, scan: Scan) -> Bool[Tensor, " coils"]:
        """Tell which coils of a scan are connected, as far as it tells by itself: the others are left out of its volume.

        Of a scan that cannot be calibrated all coils count as connected.
        """
        try:
            check_scan(scan)
            region = self.region(scan)
            connected, _ = connected_coils([scan.scan_id], [_heard(scan, region)])
            if scan.noise is None:
                return connected
            variance = noise_covariance(scan.noise, scan.noise_bandwidth_ratio, scan.scan_id).diagonal().real
            return coils_with_noise(variance.cpu(), connected)
        except BadInput:
            return torch.ones(scan.kspace.shape[2], dtype=torch.bool)

    @checked
    def sensitivities(
        self,
        calibration: Complex[Tensor, "batch frames coils *c"],
        shape: Sides,
        noise_std: float | None = None,
        reference: Complex[Tensor, " coils"] | None = None,
    ) -> Complex[Tensor, "batch maps coils *x"]:
        """Return sensitivity maps on a grid of `shape` from whitened calibration data, by `espirit` with this calibrator's settings."""
        return espirit(calibration, shape, self.maps or 1, self.kernel, self.threshold, self.crop, noise_std, reference)

    def _check_coils(self, where: str, connected: int) -> None:
        if connected < (wanted := self.maps or 1):
            raise BadInput(where, f"{connected} connected coils", f"at least {wanted}, for so many map sets")

    def _calibration_data(self, scans: Iterable[Scan]) -> tuple[list[_CalibrationData], _NoiseScan | None]:
        """Look at every scan once. The noise scan is that of the first scan that has one."""
        slices: list[_CalibrationData] = []
        noise: _NoiseScan | None = None
        for scan in scans:
            check_scan(scan)
            coils = slices[0].region.kspace.shape[2] if slices else scan.kspace.shape[2]
            if scan.kspace.shape[2] != coils:
                raise BadInput(scan.scan_id, f"{scan.kspace.shape[2]} coils", f"{coils}, as in the volume's first scan")
            region = self.region(scan)
            region = replace(region, kspace=region.kspace.clone())  # so that the scan itself can be forgotten
            noise = noise or _noise_scan(scan)
            shape = tuple(scan.kspace.shape[3:])
            slices.append(_CalibrationData(scan.scan_id, shape, scan.csm, region, _heard(scan, region)))
        if not slices:
            raise BadInput("volume", "no scans", "at least one")
        return slices, noise

    def _with_map_sets(self, slices: Sequence[_CalibrationData], matrix: Tensor, noise_known: bool) -> tuple["Calibrator", float | None]:
        """Return this calibrator with the number of map sets that the volume needs, and the fraction that this was decided by."""
        if self.maps is not None:
            return self, None
        one, two = replace(self, maps=1), replace(self, maps=2)
        without_csm = [item for item in slices if item.csm is None]
        if len(matrix) < 2 or not without_csm:
            return one, None
        fractions = []
        for item in without_csm[:: max(1, -(-len(without_csm) // MOST_SCANS))]:
            maps = two._coarse_sensitivities(mix_coils(matrix, item.region.kspace), item, noise_known)
            first, second = (maps.abs().sum(dim=2)[0] > 0).flatten(1)
            fractions.append(float((first & second).sum()) / max(1, int(first.sum())))
        folded = float(torch.tensor(fractions).median())
        return (two if folded > ALIASED_FRACTION else one), folded

    def _scale(self, slices: Sequence[_CalibrationData], matrix: Tensor, noise_known: bool) -> float:
        images = []
        for group in groups_of_one_kind(slices, lambda item: kind_of(item.csm, item.shape, item.region)):
            data = mix_coils(matrix, torch.cat([item.region.kspace for item in group]))
            given = [given_csm(item.csm, matrix) for item in group if item.csm is not None]
            maps = torch.cat(given) if given else self._coarse_sensitivities(data, group[0], noise_known)
            images += [low_resolution_image(one[None], csm[None], group[0].shape) for one, csm in zip(data, maps, strict=True)]
        return volume_scale(images)

    def _coarse_sensitivities(self, data: Tensor, like: _CalibrationData, noise_known: bool) -> Tensor:
        """Return sensitivities on as coarse a grid as the calibration region allows; `like` tells matrix and noise of all the data."""
        grid = tuple(min(n, 2 * side) for n, side in zip(like.shape, data.shape[3:], strict=True))
        return self.sensitivities(data, grid, like.region.noise if noise_known else None)


def _noise_scan(scan: Scan) -> _NoiseScan | None:
    if scan.noise is None:
        return None
    return _NoiseScan(f"{scan.scan_id} (noise scan)", scan.noise, scan.noise_bandwidth_ratio, scan.kspace.device)


def _heard(scan: Scan, region: Region) -> Bool[Tensor, "parts coils"]:
    """Tell which coils are heard in every frame's acquired samples and in the calibration data."""
    acquired = heard_coils(scan.kspace, scan.mask & ~scan.padding, scan.noise, scan.noise_bandwidth_ratio)
    return torch.cat([acquired, (region.kspace != 0)[0].flatten(2).any(dim=2).cpu()])


def _whitening(noise: _NoiseScan | None, regions: Sequence[Region], connected: Bool[Tensor, " coils"]) -> tuple[Whitening, str]:
    """Return the whitening of the connected coils, and whether it came from a ``noise scan``, the ``calibration matrix`` or nothing."""
    if noise is not None:
        covariance = noise_covariance(noise.samples, noise.bandwidth_ratio, noise.name)
        return _on_device(noise.device, whitening(covariance, noise.name, connected)), "noise scan"
    data = regions[0].kspace
    estimate = _estimated_covariance(regions, connected.to(data.device))
    if estimate is not None:
        return _on_device(data.device, whitening(estimate, "calibration matrix", connected)), "calibration matrix"
    return Whitening(torch.eye(data.shape[2], dtype=data.dtype, device=data.device)[connected.to(data.device)]), "unknown"


def _estimated_covariance(regions: Sequence[Region], connected: Bool[Tensor, " coils"]) -> Tensor | None:
    """Estimate the noise covariance on some frames, spread over the volume, of those regions that tell it and have one shape."""
    telling = [(region.kspace[0], region.noise) for region in regions if region.tells_noise and region.noise is not None]
    frames = [frame / noise for data, noise in telling for frame in data if frame.shape == telling[0][0].shape[1:]]
    frames = frames[:: max(1, -(-len(frames) // MOST_SCANS))]
    if not frames:
        return None
    stack = torch.stack(frames)
    return estimated_covariance(stack * connected.reshape(-1, *[1] * (stack.ndim - 2)))


def _on_device(device: torch.device, found: Whitening) -> Whitening:
    return replace(found, matrix=found.matrix.to(device))


def _compressed(matrix: Tensor, regions: Sequence[Region], coils: int) -> Tensor:
    """Return the product of compression to so many coils and the whitening `matrix`."""
    white = [mix_coils(matrix, region.kspace) for region in regions]
    samples = torch.cat([data.transpose(0, 2).flatten(1).mT for data in white])
    return compression_matrix(samples, coils).to(matrix.device) @ matrix
