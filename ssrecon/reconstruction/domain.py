"""What a network was trained on, and how a scan differs from it."""

from collections.abc import Iterable
from dataclasses import dataclass

from ssrecon.core.errors import BadInput
from ssrecon.core.scan import CalibratedScan
from ssrecon.sampling.describe import Support, common_support, describe_mask, union_of

SCALE_MARGIN = 30.0
"""Scales differ between protocols and receivers; only one beyond this factor of all training scans is worth a warning."""
MATRIX_MARGIN = 1.5
ACCELERATION_MARGIN = 1.15
NOISE_MARGIN = 2.0


class DomainWarning(UserWarning):
    """A scan is unlike the archive its network was trained on: the image may be wrong in ways that do not show."""


@dataclass(frozen=True)
class TrainingDomain:
    """The range of the training scans; kept with a checkpoint as JSON."""

    coils: tuple[int, ...]
    maps: tuple[int, ...]
    matrices: tuple[tuple[int, ...], ...]
    patterns: tuple[str, ...]
    """Families of patterns (`SamplingDescription.family`); earlier versions wrote ``points`` for all that are not of lines."""
    acceleration: tuple[float, float]
    """Least and greatest, on the locations that the scans of a matrix acquired between them."""
    scale: tuple[float, float]
    noise_std: tuple[float, float] | None = None
    """Least and greatest in scaled units; None where no scan's noise was known."""
    supports: tuple[Support, ...] = ()
    """What the scans of each of the `matrices` encoded; empty in a domain of an earlier version."""

    @staticmethod
    def of(scans: Iterable[CalibratedScan]) -> "TrainingDomain":
        """The domain of some scans, read once. Raises BadInput where there are none."""
        singles = [_Facts(scan[i]) for scan in scans for i in range(len(scan.headers))]
        if not singles:
            raise BadInput("training domain", found="no scans", expected="at least one")
        noise = [f.noise_std for f in singles if f.noise_std is not None]
        matrices = tuple(sorted({f.matrix for f in singles}))
        supports = {matrix: common_support(f.sampling for f in singles if f.matrix == matrix) for matrix in matrices}
        accelerations = [f.sampling.on(supports[f.matrix]).acceleration for f in singles]
        return TrainingDomain(
            coils=tuple(sorted({f.coils for f in singles})),
            maps=tuple(sorted({f.maps for f in singles})),
            matrices=matrices,
            patterns=tuple(sorted({f.sampling.family for f in singles})),
            acceleration=(min(accelerations), max(accelerations)),
            scale=(min(f.scale for f in singles), max(f.scale for f in singles)),
            noise_std=(min(noise), max(noise)) if noise else None,
            supports=tuple(supports.values()),
        )

    def unlike(self, scan: CalibratedScan) -> list[str]:
        """How a scan (a batch of one) differs, one sentence each; empty where it does not."""
        facts, found = _Facts(scan), []
        if facts.coils not in range(self.coils[0], self.coils[-1] + 1):
            found.append(f"{facts.coils} coils; trained on {_span(self.coils[0], self.coils[-1])}")
        if facts.maps not in self.maps:
            found.append(f"{facts.maps} sets of sensitivity maps; trained on {_listed(self.maps)}")
        if not any(_alike(matrix, facts.matrix) for matrix in self.matrices):
            found.append(f"matrix {_size(facts.matrix)}; trained on {_listed(map(_size, self.matrices))}")
        if not ({facts.sampling.family, EARLIER.get(facts.sampling.family, "")} & set(self.patterns)):
            found.append(f"sampling pattern '{facts.sampling.family}'; trained on {_listed(self.patterns)}")
        acceleration = self._acceleration(facts)
        if not _within(acceleration, self.acceleration, ACCELERATION_MARGIN):
            found.append(f"acceleration {acceleration:.2f}; trained on {_span(*self.acceleration)}")
        if not _within(facts.scale, self.scale, SCALE_MARGIN):
            found.append(f"scale {facts.scale:.3g}; trained on {_span(*self.scale)}")
        if facts.noise_std is not None and self.noise_std is not None and not _within(facts.noise_std, self.noise_std, NOISE_MARGIN):
            found.append(f"noise {facts.noise_std:.3g} of the bright tissue; trained on {_span(*self.noise_std)}")
        return found

    def _acceleration(self, facts: "_Facts") -> float:
        """On what the training scans of this matrix encoded, and whatever the scan acquired beside it."""
        known = dict(zip(self.matrices, self.supports, strict=False)).get(facts.matrix, ())
        return facts.sampling.on(union_of([known, facts.sampling.extent]) if known else facts.sampling.support).acceleration


EARLIER = {"lattice of points": "points", "random points": "points", "radial": "points"}
"""What earlier versions called a family of patterns."""


class _Facts:
    """What is compared, of one scan."""

    def __init__(self, scan: CalibratedScan):
        self.coils, self.maps, self.matrix = scan.kspace.shape[2], scan.csm.shape[1], tuple(scan.kspace.shape[3:])
        self.sampling = describe_mask(scan.mask[0, :, 0], scan.padding[0, :, 0], scan.headers[0].encoding.has_readout)
        self.scale = float(scan.scale[0])
        self.noise_std = None if scan.noise_std is None else float(scan.noise_std[0])


def _within(value: float, span: tuple[float, float], margin: float) -> bool:
    return span[0] / margin <= value <= span[1] * margin


def _alike(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return len(a) == len(b) and all(n / MATRIX_MARGIN <= m <= n * MATRIX_MARGIN for n, m in zip(a, b, strict=True))


def _span(low: float, high: float) -> str:
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _size(matrix: tuple[int, ...]) -> str:
    return "x".join(map(str, matrix))


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
