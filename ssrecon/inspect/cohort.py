"""Cohorts: how often the scans of one matrix acquired each location of k-space, and what they can teach as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ssrecon.core.shapes import checked
from ssrecon.inspect.scan_report import ScanReport, acquired_lines

RARE = 0.02
"""Frequencies below which a location is hardly ever seen."""


@checked
@dataclass(frozen=True)
class Cohort:
    """A cohort is the scans of one matrix. Its `frequency` is the part of them that acquired each location of the phase-encoded axes."""

    matrix: tuple[int, ...]
    scans: int
    volumes: int
    frequency: Float[np.ndarray, "*phase"]
    says: tuple[str, ...]
    """What follows, in sentences."""

    @property
    def never(self) -> float:
        """This is the part of the locations that no scan acquired."""
        return float((self.frequency == 0).mean())


def cohorts(records: Sequence[ScanReport]) -> list[Cohort]:
    """Return the scans that the audit does not refuse, by matrix. A pattern counts once in each volume."""
    groups: dict[tuple[tuple[int, ...], tuple[int, ...]], list[ScanReport]] = {}
    for record in records:
        if record.verdict != "refuse" and record.mask:
            groups.setdefault((record.matrix, record.mask_shape), []).append(record)
    found = []
    for (matrix, shape), members in sorted(groups.items()):
        patterns = {(record.volume, record.mask): record for record in members}
        count = np.zeros(shape)
        for record in patterns.values():
            count += acquired_lines(record)
        frequency = count / len(patterns)
        found.append(Cohort(matrix, len(members), len({record.volume for record in members}), frequency, _conclusions(frequency, members)))
    return found


def _conclusions(frequency: Float[np.ndarray, "*phase"], members: Sequence[ScanReport]) -> tuple[str, ...]:
    never, rare = float((frequency == 0).mean()), float(((frequency > 0) & (frequency < RARE)).mean())
    sides = {tuple(record.sampling["missing_side"]) for record in members}
    patterns = {str(record.sampling["pattern"]) for record in members}
    says = []
    if never:
        says.append(
            f"{never:.1%} of the locations were never acquired in any scan. No self-supervised loss sees them directly: what the network"
            " puts there rests on the coils and on what it learned of images elsewhere."
        )
    several = len({record.volume for record in members}) > 1
    offsets = {tuple(record.sampling.get("offset", ())) for record in members}
    if never and several and len(patterns) == len(offsets) == 1 and offsets != {()}:
        says.append(
            "All scans share one lattice with one offset: the same locations are missing in all. Shift the lattice from scan to scan where"
            " the protocol allows; partition point by point (Gaussian or uniform), not by lines."
        )
    if any(any(side) for side in sides):
        says.append(
            "Partial Fourier or an asymmetric echo leaves a side out of every such scan: report figures on the encoded support, and do not"
            " count that side as zeros."
        )
    if any(record.sampling["elliptical"] for record in members):
        says.append("The corners outside the elliptical shutter are not encoded; accelerations are counted on the ellipse.")
    if rare:
        says.append(f"{rare:.1%} were acquired in fewer than one scan in {1 / RARE:.0f}: weighted losses cap their weights there.")
    if len(members) == 1:
        says.append("The union of one scan is all that is known of this protocol: R is counted on what its own pattern reaches.")
    if not never:
        says.append("Every location was acquired in some scan: self-supervision reaches all of k-space.")
    return tuple(says)
