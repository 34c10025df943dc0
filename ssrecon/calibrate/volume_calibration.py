"""A calibrator that was fitted to one volume, and the way of the volume's scans through it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Complex
from torch import Tensor

from ssrecon.calibrate.checks import check_scan
from ssrecon.calibrate.groups import groups_of_one_kind, kind_of
from ssrecon.calibrate.region import Region
from ssrecon.calibrate.whiten import mix_coils
from ssrecon.core.scan import CalibratedScan, Prepared, Scan
from ssrecon.core.shapes import checked
from ssrecon.operators import Fourier, Sensitivity
from ssrecon.sampling.centre import region_mask

if TYPE_CHECKING:
    from ssrecon.calibrate.calibrator import Calibrator


@checked
@dataclass(frozen=True)
class VolumeCalibration:
    """What the scans of one volume share; `apply` and `each` take them through it."""

    calibrator: "Calibrator"
    matrix: Complex[Tensor, "virtual coils"]
    """Whitening, then compression. Its columns are the coils of the file; those of coils that are not connected are zero, and there are
    no rows for them, so that stored scans have fewer coils. A coil counts as not connected if it has no noise in the noise scan, or if
    it is zero in a frame whose other coils are not: slices and frames share one shape and one noise, and what a coil that is silent in
    some of them misses there would be taken for noise that is smaller than it is."""
    scale: float
    noise_source: str
    notes: tuple[str, ...] = ()
    folded: float | None = None
    """What the number of map sets was decided by, where it was left open: see `ssrecon.calibrate.calibrator.ALIASED_FRACTION`."""
    reference: Complex[Tensor, " virtual"] | None = None
    """Weights of the virtual coil that the phase of all slices' sensitivities is relative to; each slice's own where there is none."""

    def record(self) -> dict[str, Any]:
        """Return what was done, in numbers, so that it can be explained or undone.

        Coils as stored are `matrix` (rows of [real, imaginary]) times the receiver's own, over `scale`; its pseudo-inverse leads back.
        """
        return {
            "matrix": torch.view_as_real(self.matrix.cpu().to(torch.complex128)).tolist(),
            "scale": self.scale,
            "noise_source": self.noise_source,
            "maps": self.calibrator.maps,
            "folded": self.folded,
            "notes": list(self.notes),
        }

    def apply(self, scan: Scan) -> Prepared:
        """Return one scan as `each` prepares it."""
        (prepared,) = self.each([scan])
        return prepared

    def each(self, scans: Iterable[Scan]) -> Iterator[Prepared]:
        """Yield every scan, its reference and its truth, all through the same matrix, csm and scale, one by one as they are asked for.

        On a device that is not a CPU the sensitivities of several scans of one shape are found at once (`groups_of_one_kind`), and these
        scans are in memory together.
        """
        with_regions = map(self._with_region, scans)
        for group in groups_of_one_kind(with_regions, lambda it: kind_of(it[0].csm, tuple(it[0].kspace.shape[3:]), it[1])):
            for (scan, region), csm in zip(group, self._csm(group).split(1), strict=True):
                yield self._prepared(scan, region, csm)

    def _with_region(self, scan: Scan) -> tuple[Scan, Region]:
        check_scan(scan)
        return scan, self.calibrator.region(scan)

    def _csm(self, group: Sequence[tuple[Scan, Region]]) -> Complex[Tensor, "batch maps coils *x"]:
        given = [given_csm(scan.csm, self.matrix) for scan, _ in group if scan.csm is not None]
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
            kspace=self._in_stored_units(torch.where(mask, scan.kspace, 0)),
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
            reference = replace(calibrated, kspace=self._in_stored_units(torch.where(full, scan.reference, 0)), mask=full)
        if scan.truth is not None:
            truth = Sensitivity(csm).adjoint(Fourier(len(shape)).adjoint(self._in_stored_units(scan.truth)))
        return Prepared(calibrated, reference, truth)

    def _in_stored_units(self, kspace: Tensor) -> Tensor:
        return mix_coils(self.matrix / self.scale, kspace)

    def _notes(self, csm: Tensor) -> dict[str, str]:
        notes = {"whitening": "; ".join(self.notes)} if self.notes else {}
        if self.folded is not None:
            larger = "larger than" if self.calibrator.maps == 2 else "within"
            notes["maps"] = f"{self.calibrator.maps}: the object is {larger} the field of view (second map on {self.folded:.1%} of it)"
        return notes if bool((csm != 0).any()) else {**notes, "csm": "zero everywhere: no pixel passed the eigenvalue crop"}


@checked
def given_csm(csm: Complex[Tensor, "1 maps coils *x"], matrix: Complex[Tensor, "virtual coils"]) -> Complex[Tensor, "1 maps virtual *x"]:
    """Return a user's csm in the coils of `matrix`, of unit norm over the coils wherever it is not zero."""
    mixed = mix_coils(matrix, csm.to(matrix.device))
    norm = torch.linalg.vector_norm(mixed, dim=2, keepdim=True)
    return torch.where(norm > 0, mixed / norm, 0)
