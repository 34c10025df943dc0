"""What objectives share: the measurement that an estimate predicts, the noise, and measurements that were never made."""

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ssrecon.calibrate.noise_level import SHORTEST_SIDE
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.core.per_scan import per_scan
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.core.shapes import checked
from ssrecon.operators import LinearOperator, encoding

NOISE_FROM = f"a noise scan, or a calibration region of {SHORTEST_SIDE} lines to estimate it from"
"""This is what a scan without a noise level would need."""


def operator_of(scan: CalibratedScan, estimate: Estimate) -> LinearOperator:
    """Return E on what `scan` holds, with the estimate's own sensitivities where it has any."""
    return encoding(scan.with_csm_of(estimate))


def predicted(scan: CalibratedScan, estimate: Estimate) -> Complex[Tensor, "batch frames coils *k"]:
    """Return the predicted measurement :math:`E x`; see `operator_of`."""
    return operator_of(scan, estimate)(estimate.image)


def noise_level(scan: CalibratedScan) -> Float[Tensor, " batch"]:
    r"""Return :math:`\sigma = \sqrt{E|n|^2}` of the scan's white noise. Raises BadInput, naming the scan, where it is not known."""
    if scan.noise_std is None:
        raise BadInput(scan.ids[0], found="an unknown noise level", expected=NOISE_FROM)
    return scan.noise_std


def white_noise(scan: CalibratedScan, draw: Draw, purpose: str) -> Complex[Tensor, "batch frames coils *k"]:
    """Draw complex noise with E|n|^2 = 1 in the shape of the k-space, scan by scan."""
    shape = (2, *scan.kspace.shape[1:])
    drawn = np.stack([draw.generator(purpose, key).standard_normal(shape, dtype=np.float32) for key in scan.keys])
    parts = torch.from_numpy(drawn / np.float32(math.sqrt(2)))
    return torch.complex(parts[:, 0], parts[:, 1]).to(scan.kspace.device, scan.kspace.dtype)


@checked
def with_noise(scan: CalibratedScan, noise: Complex[Tensor, "batch frames coils *k"]) -> CalibratedScan:
    """Return the scan with noise added where it was acquired."""
    return replace(scan, kspace=scan.kspace + torch.where(scan.mask, noise, 0))


@checked
def noisier(scan: CalibratedScan, noise: Complex[Tensor, "batch frames coils *k"], added: Float[Tensor, " batch"]) -> CalibratedScan:
    """Return the scan with white `noise` added to a standard deviation of `added`; its noise level says so."""
    return replace(with_noise(scan, per_scan(added, noise) * noise), noise_std=torch.hypot(noise_level(scan), added))


@checked
def simulated_measurement(
    scan: CalibratedScan, image: Complex[Tensor, "batch frames maps *x"], mask: Bool[Tensor, "batch frames 1 *k"], estimate: Estimate
) -> CalibratedScan:
    """Return the scan that a scanner with these coils would have made of another image through another mask, without noise.

    The coils are those that `estimate` found, where it found any; the network starts again from the scan's own csm.
    """
    virtual = replace(scan, mask=mask)
    return replace(virtual, kspace=predicted(virtual, replace(estimate, image=image)))


@checked
def support(csm: Complex[Tensor, "batch maps coils *x"]) -> Bool[Tensor, "batch 1 maps *x"]:
    """Tell where a map set sees anything."""
    return (csm != 0).any(dim=2).unsqueeze(1)


@checked
def l1_norm(image: Complex[Tensor, "batch *any"]) -> Float[Tensor, " batch"]:
    """Return the l1 norm of real and imaginary parts, one value a scan."""
    return torch.view_as_real(image).flatten(1).abs().sum(dim=1)


@checked
def relative(size: Float[Tensor, " batch"], whole: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """Return the quotient of two norms. It is 0 where both are, as in a slice outside the object, which no coil sees."""
    return size / whole.clamp_min(torch.finfo(whole.dtype).tiny)


@checked
def mean_square(image: Complex[Tensor, "batch frames maps *x"]) -> Float[Tensor, " batch"]:
    """Return the mean square a pixel, one value a scan: in images it is what `MeanSquare` is in k-space."""
    return torch.view_as_real(image).flatten(1).square().sum(dim=1) / (image.shape[1] * math.prod(image.shape[3:]))
