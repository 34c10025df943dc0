"""The detector of k-space whose energy is not where its header says that the centre is."""

import torch

from ssrecon.core.scan import Scan
from ssrecon.inspect.finding import Finding
from ssrecon.inspect.profiles import acquired_frame, line_power

TOLERANCE = 2.0
"""Samples: gradient delays, phase across the object and an even echo shift the peak by one or two."""
RELATIVE = 0.02
"""The part of the matrix that is tolerated, where that is more."""

CLEAR = 4.0
"""Power of the peak over the median line's: noise alone has a highest line too."""


def off_centre(scan: Scan) -> Finding | None:
    """Find an axis along which the line with most power lies farther from N // 2 than `TOLERANCE` and `RELATIVE` allow.

    It is the wrong centre of a partial Fourier scan (converters write half the matrix), or an echo that is not where the header has it.
    """
    kspace, mask = acquired_frame(scan)
    if not bool((kspace != 0).any()):
        return None
    shifts = []
    for axis, n in enumerate(mask.shape):
        power = line_power(kspace, mask, axis)
        power = torch.where(power.isfinite(), power, 0)
        peak = int(power.argmax())
        clear = float(power[peak]) > CLEAR * float(power[power > 0].median())
        shifts.append(float(peak - n // 2) if clear and abs(peak - n // 2) > max(TOLERANCE, RELATIVE * n) else 0.0)
    if not any(shifts):
        return None
    where = ", ".join(f"{shift:+.0f} along axis {axis}" for axis, shift in enumerate(shifts) if shift)
    return Finding(
        "off_centre",
        "warn",
        f"most energy lies {where} from where the centre of k-space is said to be",
        "check the centre in the header (encoding limits; idx.user[5] and [6] of Siemens lines): sensitivities and phase depend on it",
        {f"shift_{axis}": shift for axis, shift in enumerate(shifts)},
    )
