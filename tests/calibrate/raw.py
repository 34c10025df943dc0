"""Raw scans with everything known: object, coils, noise covariance, and a noise scan."""

import math

import torch
from torch import Tensor

from ssrecon.calibrate import Calibrator
from ssrecon.core.scan import CalibratedScan, Header, Scan
from ssrecon.operators import sense
from tests.scans import column_mask, smooth_csm, smooth_image


def white(shape: tuple[int, ...], seed: int) -> Tensor:
    """Complex white noise with E|n|^2 = 1."""
    return torch.randn(shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def mixing(coils: int, seed: int = 3) -> Tensor:
    """A factor of a noise covariance: correlated coils of unequal level."""
    correlation = torch.eye(coils, dtype=torch.complex128) + 0.15 * white((coils, coils), seed)
    return torch.diag(torch.linspace(0.5, 2.0, coils, dtype=torch.float64)).to(torch.complex128) @ correlation


def raw_scan(
    index: int = 0,
    shape: tuple[int, ...] = (64, 64),
    coils: int = 6,
    frames: int = 1,
    level: float = 0.02,
    gain: float = 40.0,
    lines: int = 24,
    noise_scan: bool = True,
    volume_id: str = "vol",
    mask: Tensor | None = None,
    readouts: int = 64,
) -> Scan:
    """R=4 columns and `lines` calibration lines of `smooth_image` through `smooth_csm`, in a receiver of some gain, with noise of
    mixing(coils).
    """
    everything = torch.ones(1, frames, 1, *shape, dtype=torch.bool)
    clean = gain * sense(everything, smooth_csm(coils, shape))(smooth_image(shape, frames, seed=index))
    factor = gain * level * mixing(coils)
    noise = torch.einsum("oc,bfcyx->bfoyx", factor, white(tuple(clean.shape), 100 + index))
    full = (clean + noise).to(torch.complex64)
    mask = column_mask(shape, 4, lines, frames) if mask is None else mask
    name = f"{volume_id}/slice-{index:03d}"
    return Scan(
        header=Header(name, volume_id, subject=volume_id.split("_")[0], slice=index, encoded_matrix=shape),
        kspace=torch.where(mask, full, 0),
        mask=mask,
        padding=torch.zeros_like(mask),
        noise=(factor @ white((readouts, coils, 256), 7)).to(torch.complex64) if noise_scan else None,
        reference=full,
        truth=clean,
    )


def std(samples: Tensor) -> float:
    return math.sqrt(float(samples.abs().square().mean()))


def whitened_noise(calibrator: Calibrator, raw: Scan) -> Tensor:
    """The noise of a scan in the units of its calibrated k-space, divided by what is said to be its level: std 1."""
    fitted = calibrator.fit([raw])
    noise = torch.einsum("oc,bfcyx->bfoyx", fitted.matrix / fitted.scale, (raw.reference - raw.truth).to(torch.complex64))
    return noise / fitted.apply(raw).scan.noise_std


def agreement(prepared: CalibratedScan, matrix: Tensor) -> Tensor:
    """|correlation| over the coils with the true sensitivities, inside the object."""
    truth = torch.einsum("oc,bmcyx->bmoyx", matrix, smooth_csm(matrix.shape[1], (64, 64)))
    truth = truth / torch.linalg.vector_norm(truth, dim=2, keepdim=True)
    object_ = smooth_image((64, 64))[0, 0, 0].abs() > 0.1
    return (prepared.csm.conj() * truth).sum(dim=2).abs()[0, 0][object_]
