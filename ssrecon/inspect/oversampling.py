"""The detector of a readout that is sampled more densely than the image needs, in a file whose header does not say so."""

import torch

from ssrecon.core.scan import Scan
from ssrecon.inspect.finding import Finding
from ssrecon.inspect.profiles import acquired_frame

BESIDE = 0.03
"""Part of the field of view beyond its inner half that may still hold the object's edge."""
SIGNAL = 3.0
"""Power of the inner half over that of the outer, below which there is too little signal to tell."""
FLAT = 1.25
"""Largest over smallest power of the outer half's parts where it is noise alone, but for the scatter of few samples."""
NOTHING = 1e-4
"""Power of the outer half over that of the inner where it is next to nothing, whatever it is."""
PARTS = 8


def oversampled(scan: Scan) -> Finding | None:
    r"""Find a scan of which the outer half of the field of view along the readout holds noise alone and no field of view is stated.

    Scanners sample readouts twice as densely as the image needs; a header gives both fields of view, and files without one look stretched.
    The profile along the readout, :math:`p(x) = \sum |F^{-1} h y|^2` over lines and coils with a Hann window h against ringing, is compared
    between its inner half and eight parts of its outer one. The outer half is noise alone where its parts differ by no more than `FLAT` and
    four standard errors allow, or where next to nothing is in it. An object that is smaller than half of the field of view looks the
    same: whether it is one, somebody has to know.
    """
    header = scan.header
    stated = len(header.encoded_fov) > 0 and len(header.recon_fov) > 0 and max(*header.encoded_fov, *header.recon_fov) > 0
    if stated or not header.encoding.has_readout:
        return None
    kspace, mask = acquired_frame(scan)
    n = mask.shape[-1]
    lines = mask.any(dim=-1)
    if n < 32 or not bool(lines.any()) or not bool(mask[lines].all()):
        return None
    window = torch.hann_window(n + 1, periodic=True, dtype=torch.float64)[1:] if n % 2 else torch.hann_window(n, dtype=torch.float64)
    profiles = torch.fft.fftshift(torch.fft.ifft(torch.fft.ifftshift(kspace[:, lines] * window, dim=-1), dim=-1, norm="ortho"), dim=-1)
    # Coils of unequal noise count by their own outer half, so that none of them rules.
    power = profiles.abs().square().mean(dim=1)
    place = ((torch.arange(n) - n // 2).abs() / n).double()
    inner, outer = place < 0.25, place > 0.25 + BESIDE
    level = power[:, outer].mean(dim=1, keepdim=True)
    heard = level[:, 0] > 0
    if not bool(heard.any()):
        return None
    profile = (power[heard] / level[heard]).mean(dim=0)
    signal = float(profile[inner].mean())
    parts = torch.stack([part.mean() for part in profile[outer].tensor_split(PARTS)])
    scatter = 4 * (2 * PARTS / (int(outer.sum()) * int(lines.sum()) * int(heard.sum()))) ** 0.5
    flat = float(parts.max() / parts.min()) < FLAT + scatter
    if signal < SIGNAL or not (flat or signal > 1 / NOTHING):
        return None
    return Finding(
        "oversampled",
        "warn",
        f"the outer half of the field of view holds noise alone ({1 / signal:.1g} of the power of the inner one): oversampled?",
        "give the field of view in the header, or remove the readout's oversampling; nothing is to be done for a small object",
        {"outer_power": 1 / signal},
    )
