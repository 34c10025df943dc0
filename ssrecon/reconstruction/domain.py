"""The range of the scans that a network was trained on, and how another scan differs from them."""

from collections.abc import Iterable
from dataclasses import dataclass

from ssrecon.core.description import digest
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import CalibratedScan
from ssrecon.sampling.describe import Support, describe_sampling, on_protocol, protocol_key, union_of

SCALE_MARGIN = 30.0
"""Scales differ between protocols and receivers; only one beyond this factor of all training scans is worth a warning."""
MATRIX_MARGIN = 1.5
ACCELERATION_MARGIN = 1.15
NOISE_MARGIN = 2.0


class DomainWarning(UserWarning):
    """A scan is unlike the archive its network was trained on: the image may be wrong in ways that do not show."""


@dataclass(frozen=True)
class TrainingDomain:
    """This is the range of the training scans, which a checkpoint keeps as JSON."""

    coils: tuple[int, ...]
    maps: tuple[int, ...]
    matrices: tuple[tuple[int, ...], ...]
    """The matrix of each protocol (`protocol_key`); two protocols may have the same."""
    patterns: tuple[str, ...]
    """Families of patterns (`SamplingDescription.family`); earlier versions wrote ``points`` for all that are not of lines."""
    acceleration: tuple[float, float]
    """Least and greatest, on the locations that the scans of a protocol acquired between them."""
    scale: tuple[float, float]
    noise_std: tuple[float, float] | None = None
    """Least and greatest in scaled units; None where no scan's noise was known."""
    supports: tuple[Support, ...] = ()
    """The box that each protocol encoded, in the order of `matrices`; empty in a domain of an earlier version."""
    protocols: tuple[str, ...] = ()
    """A digest of the key of each protocol, in the order of `matrices`: names stay where the scans are. Earlier versions wrote none, and
    took the scans of one matrix for one protocol."""

    @staticmethod
    def of(scans: Iterable[CalibratedScan]) -> "TrainingDomain":
        """Return the domain of some scans, which are read once. Raises BadInput where there are none."""
        singles = [_ScanFacts(scan[i]) for scan in scans for i in range(len(scan.headers))]
        if not singles:
            raise BadInput("training domain", found="no scans", expected="at least one")
        noise = [f.noise_std for f in singles if f.noise_std is not None]
        sampled = on_protocol(dict(enumerate(f.sampling for f in singles)), dict(enumerate(f.protocol for f in singles)))
        supports = {(f.matrix, f.protocol): sampled[place].support for place, f in enumerate(singles)}
        accelerations = [found.acceleration for found in sampled.values()]
        return TrainingDomain(
            coils=tuple(sorted({f.coils for f in singles})),
            maps=tuple(sorted({f.maps for f in singles})),
            matrices=tuple(matrix for matrix, _ in sorted(supports)),
            patterns=tuple(sorted({f.sampling.family for f in singles})),
            acceleration=(min(accelerations), max(accelerations)),
            scale=(min(f.scale for f in singles), max(f.scale for f in singles)),
            noise_std=(min(noise), max(noise)) if noise else None,
            supports=tuple(supports[key] for key in sorted(supports)),
            protocols=tuple(protocol for _, protocol in sorted(supports)),
        )

    def unlike(self, scan: CalibratedScan) -> list[str]:
        """Return how a scan (a batch of one) differs, in one sentence for each difference."""
        facts, found = _ScanFacts(scan), []
        if facts.coils not in range(self.coils[0], self.coils[-1] + 1):
            found.append(f"{facts.coils} coils; trained on {_range_text(self.coils[0], self.coils[-1])}")
        if facts.maps not in self.maps:
            found.append(f"{facts.maps} sets of sensitivity maps; trained on {_list_text(self.maps)}")
        if not any(_is_of_similar_size(matrix, facts.matrix) for matrix in self.matrices):
            found.append(f"matrix {_size_text(facts.matrix)}; trained on {_list_text(dict.fromkeys(map(_size_text, self.matrices)))}")
        if not ({facts.sampling.family, EARLIER_FAMILIES.get(facts.sampling.family, "")} & set(self.patterns)):
            found.append(f"sampling pattern '{facts.sampling.family}'; trained on {_list_text(self.patterns)}")
        acceleration = self._acceleration_of(facts)
        if not _is_within(acceleration, self.acceleration, ACCELERATION_MARGIN):
            found.append(f"acceleration {acceleration:.2f}; trained on {_range_text(*self.acceleration)}")
        if not _is_within(facts.scale, self.scale, SCALE_MARGIN):
            found.append(f"scale {facts.scale:.3g}; trained on {_range_text(*self.scale)}")
        if facts.noise_std is not None and self.noise_std is not None and not _is_within(facts.noise_std, self.noise_std, NOISE_MARGIN):
            found.append(f"noise {facts.noise_std:.3g} of the bright tissue; trained on {_range_text(*self.noise_std)}")
        return found

    def _acceleration_of(self, facts: "_ScanFacts") -> float:
        """Return the acceleration of a scan on what its protocol encoded in training, and whatever the scan acquired beside it.

        Where the protocol is unknown, all protocols of its matrix count, and where the matrix is unknown the scan alone.
        """
        own = dict(zip(self.protocols, self.supports, strict=False)).get(facts.protocol)
        same_matrix = [support for matrix, support in zip(self.matrices, self.supports, strict=False) if matrix == facts.matrix]
        known = same_matrix if own is None else [own]
        return facts.sampling.on(union_of([*known, facts.sampling.extent]) if known else facts.sampling.support).acceleration


EARLIER_FAMILIES = {"lattice of points": "points", "random points": "points", "radial": "points"}
"""What earlier versions called a family of patterns."""


class _ScanFacts:
    """These facts of one scan are compared with the domain."""

    def __init__(self, scan: CalibratedScan):
        self.coils, self.maps, self.matrix = scan.kspace.shape[2], scan.csm.shape[1], tuple(scan.kspace.shape[3:])
        self.protocol = digest(protocol_key(scan.headers[0], self.matrix))
        self.sampling = describe_sampling(scan)
        self.scale = float(scan.scale[0])
        self.noise_std = None if scan.noise_std is None else float(scan.noise_std[0])


def _is_within(value: float, span: tuple[float, float], margin: float) -> bool:
    return span[0] / margin <= value <= span[1] * margin


def _is_of_similar_size(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return len(a) == len(b) and all(n / MATRIX_MARGIN <= m <= n * MATRIX_MARGIN for n, m in zip(a, b, strict=True))


def _range_text(low: float, high: float) -> str:
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _size_text(matrix: tuple[int, ...]) -> str:
    return "x".join(map(str, matrix))


def _list_text(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
