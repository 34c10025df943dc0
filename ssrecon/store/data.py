"""What trains: where scans come from and what is done to them before training."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ssrecon.archive import Archive
from ssrecon.archive.leave_out import scans_that_fit
from ssrecon.archive.splits import BySubject, Split
from ssrecon.calibrate import Calibrator
from ssrecon.core.description import PLACE
from ssrecon.core.errors import BadRecipe
from ssrecon.core.scan import Header
from ssrecon.sampling import Undersampling


@dataclass(frozen=True)
class Data:
    """This says where scans come from and what is done to them before training."""

    source: str | Archive = field(metadata=PLACE)
    """A file, a folder, a prepared store, or an archive made here (`PhantomArchive`)."""
    pattern: Undersampling | None = None
    """Retrospective undersampling, one mask a volume, drawn or from a file; None takes the scans as they were acquired."""
    calibrator: Calibrator = Calibrator()
    split: Split = BySubject()
    contrasts: tuple[str, ...] = ()
    """Only scans of these contrasts (`Header.contrast`; of a fastMRI file its attribute ``acquisition``); all where it is empty."""
    mask_per_slice: bool = False
    only_full: bool = False
    """Undersample by `pattern` only what was fully sampled, and leave other scans as they were acquired: where a few references are
    among them (`JSSL`)."""
    leave_out: tuple[str, ...] = ()
    """Patterns (``*``, ``?``, ``[...]``) for the ids of scans, volumes or subjects that are not used; a list in a file is read by
    `ssrecon.archive.leave_out.expanded`, as the command line does."""
    keep_unfit: bool = False
    """Use scans that the verdict says may not train, where they can be calibrated."""
    seed: int = 0
    """Of the masks; the arms of a comparison share it."""

    def __post_init__(self) -> None:
        if files := [entry for entry in self.leave_out if entry.endswith(".lst")]:
            raise BadRecipe("data.leave_out", found=f"the file {files[0]}", expected="what it lists: ssrecon.archive.leave_out.expanded")

    def chosen(self, headers: Iterable[Header]) -> tuple[Header, ...]:
        """Return the headers of the contrasts that are wanted, without what is left out. Raises BadRecipe where there are none."""
        everything = tuple(headers)
        spared: set[str] = set().union(*(scans_that_fit(everything, pattern) for pattern in self.leave_out))
        headers = tuple(header for header in everything if header.scan_id not in spared)
        if spared and not headers:
            found = f"{', '.join(self.leave_out)}, which fits all {len(everything)} scans"
            raise BadRecipe("data.leave_out", found=found, expected="patterns that leave some")
        chosen = tuple(header for header in headers if not self.contrasts or header.contrast in self.contrasts)
        if not chosen:
            found = ", ".join(sorted({header.contrast or "unnamed" for header in headers}))
            raise BadRecipe("data.contrasts", found=f"none of {', '.join(self.contrasts)} in the archive ({found})", expected="one of them")
        return chosen
