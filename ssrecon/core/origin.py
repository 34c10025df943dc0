"""A scan was measured or computed; its origin says which."""

from enum import StrEnum


class Origin(StrEnum):
    """The origin says where the samples of a scan come from. The values are what stores, files and reports say."""

    MEASURED = "measured"
    SIMULATED = "simulated"
    """Object, coils and noise are computed."""
    SEMI_SYNTHETIC = "semi-synthetic"
    """A measured image is seen through simulated coils."""


MAKERS = {"ssrecon phantom": Origin.SIMULATED, "simulated coils": Origin.SEMI_SYNTHETIC}
"""What files and stores of earlier versions, which do not record an origin, call the vendor of scans that were computed."""


def recorded_origin(recorded: str, vendor: str) -> Origin:
    """Return the origin that a file or store records, or else the one that its vendor stands for in files of earlier versions."""
    return Origin(recorded) if recorded in set(Origin) else MAKERS.get(vendor, Origin.MEASURED)
