"""What training reads: a store, scans in memory, or a dataset of your own."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from ssrecon.calibrate import Calibrator
from ssrecon.core.description import describe
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Header, Prepared


class ScanDataset(Protocol):
    """A training reads scans by their ids, and asks what is known of a scan without reading its samples.

    `Store` is one (files on the disk), `ScansInMemory` another. A dataset of your own needs these members and no base class; for reading
    ahead with several workers it has to be picklable.
    """

    @property
    def headers(self) -> Sequence[Header]:
        """These are the headers of all scans, each with an id of its own."""

    @property
    def calibrator(self) -> Any:
        """This describes (`ssrecon.core.description.describe`) how the scans were calibrated; None where it is not known."""

    def load(self, scan_id: str, reference: bool = False) -> Prepared:
        """Return one scan as a batch of one, with its reference and truth where they are asked for and there are any."""

    def shape(self, scan_id: str) -> tuple[int, ...]:
        """Return `CalibratedScan.shape`. Scans are batched where it agrees."""

    def noise_known(self, scan_id: str) -> bool:
        """Tell whether a scan has a noise level."""

    def has_reference(self, scan_id: str) -> bool:
        """Tell whether a scan has a fully sampled reference."""


class ScansInMemory:
    """Prepared scans, as `Calibrator.volume` gives them, are a dataset without a file.

    `calibrator` is the one that prepared them; checkpoints record it, so that new scans are prepared in the same way.
    Raises BadInput for no scans at all, for a batch of several scans, and for a scan id that occurs twice.
    """

    def __init__(self, scans: Iterable[Prepared], calibrator: Calibrator | None = None):
        self.calibrator: Any = None if calibrator is None else describe(calibrator)
        self._scans: dict[str, Prepared] = {}
        for prepared in scans:
            name = prepared.scan.ids[0]
            if len(prepared.scan.ids) > 1:
                raise BadInput(name, found=f"a batch of {len(prepared.scan.ids)} scans", expected="each scan by itself")
            if name in self._scans:
                raise BadInput(name, found="two scans of this id", expected="scan ids that are unique")
            self._scans[name] = prepared
        if not self._scans:
            raise BadInput("ScansInMemory", found="no scans", expected="at least one")
        self.headers: tuple[Header, ...] = tuple(prepared.scan.headers[0] for prepared in self._scans.values())

    def load(self, scan_id: str, reference: bool = False) -> Prepared:
        """Return one scan. Reference and truth are None unless they are asked for."""
        prepared = self._prepared(scan_id)
        return prepared if reference else Prepared(prepared.scan)

    def shape(self, scan_id: str) -> tuple[int, ...]:
        """Return ``(frames, coils, maps, *k)``."""
        return self._prepared(scan_id).scan.shape

    def noise_known(self, scan_id: str) -> bool:
        """Tell whether a scan has a noise level."""
        return self._prepared(scan_id).scan.noise_std is not None

    def has_reference(self, scan_id: str) -> bool:
        """Tell whether a scan has a fully sampled reference."""
        return self._prepared(scan_id).reference is not None

    def _prepared(self, scan_id: str) -> Prepared:
        if scan_id not in self._scans:
            raise BadInput("ScansInMemory", found=f"no scan {scan_id!r}", expected=f"one of {', '.join(list(self._scans)[:5])}, ...")
        return self._scans[scan_id]
