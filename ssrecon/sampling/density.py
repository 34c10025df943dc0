"""The density of an archive's sampling: how often it acquired each location of k-space, told from its masks alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import CalibratedScan
from ssrecon.core.shapes import checked
from ssrecon.sampling.describe import encoded_support
from ssrecon.sampling.lines import any_along, line_by_line

WIDTHS = (0.0, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.3, 16.0, 32.0, 64.0)
"""Standard deviations that are tried for the smoothing, in locations."""
LEFT_OUT = 64
"""At most so many masks are left out in turn."""

Mask = Bool[np.ndarray, "*k"]


@checked
@dataclass(frozen=True)
class Density:
    r"""A density says how likely the scans of one matrix are to acquire each location j: :math:`p_j`, the `probability`.

    Each of the n different masks of a volume (of its frames, of its slices) counts once. Locations that all masks hold have p = 1, as those
    of a calibration region and all of a single mask have. Elsewhere the relative frequency is smoothed by a Gaussian over the phase-encoded
    axes, as wide as makes each mask most likely given the others (leave-one-out; a width of 0 leaves the frequencies as they are, and is
    what a lattice with a fixed offset ends up with), between the outermost locations that any mask holds: what lies beyond them (partial
    Fourier, padding) is no failure to acquire. Of whole lines it is the lines that are counted, times how often the readout reached a
    location (an asymmetric echo). Scans of several protocols on one matrix are one mixture. A location that no mask holds is
    unlearnable: `never`.
    """

    masks: tuple[Mask, ...]
    probability: Float[np.ndarray, "*k"]
    width: float
    """The standard deviation of the smoothing, in locations."""
    lines: bool
    """Whether every mask is of whole lines along the last axis."""
    volumes: tuple[str, ...] = ()
    """The volume of each mask, where that is known."""

    @property
    def never(self) -> Mask:
        """These are the locations that no mask holds."""
        return ~np.any(self.masks, axis=0)

    @staticmethod
    def of(masks: Iterable[Mask], volumes: Iterable[str] = ()) -> "Density":
        """Return the density of several scans, one mask each."""
        kept = tuple(masks)
        lines = all(line_by_line(mask) for mask in kept)
        stack = np.stack([any_along(mask, -1) if lines else mask for mask in kept])
        always = np.asarray(stack.all(axis=0))
        sometimes = encoded_support(torch.from_numpy(any_along(stack, 0))).numpy() & ~always
        width = max(WIDTHS, key=lambda tried: (_left_out_likelihood(stack, sometimes, tried), -tried)) if len(stack) > 1 else 0.0
        counts = stack.sum(axis=0, dtype=float)
        probability = np.where(always, 1.0, _smoothed(counts, sometimes, width) / len(stack))
        if lines:
            reached = np.mean([any_along(mask, tuple(range(mask.ndim - 1))) for mask in kept], axis=0)
            probability = probability[..., None] * reached
        return Density(kept, probability, width, lines, tuple(volumes))

    @checked
    def others(self, own: Mask, volume: str) -> list[Mask]:
        """Return the masks that are not a scan's own. A scan that gave samples up (Gamma) is still known by the mask it had."""
        of_volume = [mask for mask, name in zip(self.masks, self.volumes, strict=False) if name == volume and (mask | ~own).all()]
        whole = min(of_volume, key=np.sum, default=own)
        return [mask for mask in self.masks if not np.array_equal(mask, whole)]


@dataclass(frozen=True)
class Sampling:
    """A sampling says how an archive was sampled: it holds the density of every matrix in it."""

    densities: Mapping[tuple[int, ...], Density]

    @staticmethod
    def of(scans: Iterable[CalibratedScan]) -> "Sampling":
        """Return the sampling of scans, told from their masks without padding; no sample is looked at.

        Masks are told apart within a volume and counted across volumes: two volumes with equal masks are two draws of one mask.
        """
        found: dict[tuple[int, ...], dict[tuple[str, bytes], Mask]] = {}
        for scan in scans:
            omega = (scan.mask & ~scan.padding)[:, :, 0].cpu().numpy()
            for header, frames in zip(scan.headers, omega, strict=True):
                for mask in frames:
                    if mask.any():
                        own = found.setdefault(mask.shape, {})
                        own.setdefault((header.volume_id, np.packbits(mask).tobytes()), mask)
        return Sampling({matrix: Density.of(own.values(), (volume for volume, _ in own)) for matrix, own in found.items()})

    def density(self, scan: CalibratedScan) -> Density:
        """Return the density of a scan's matrix. Raises BadInput, naming the scan, for a matrix that none of the scans of `of` had."""
        matrix = tuple(scan.mask.shape[3:])
        if matrix not in self.densities:
            known = ", ".join("x".join(map(str, other)) for other in self.densities) or "none"
            raise BadInput(
                scan.ids[0], found=f"a matrix {'x'.join(map(str, matrix))} whose sampling is not known", expected=f"one of {known}"
            )
        return self.densities[matrix]

    def probability(self, scan: CalibratedScan) -> Float[Tensor, "1 1 1 *k"]:
        """Return :math:`p_j` as a tensor beside the scan."""
        return torch.from_numpy(self.density(scan).probability.astype(np.float32))[None, None, None].to(scan.mask.device)

    def other_masks(self, scan: CalibratedScan, draw: Draw, purpose: str) -> Bool[Tensor, "batch frames 1 *k"]:
        """Draw for every frame another mask of the archive, all equally likely. Raises BadInput, naming the scan, where there is none."""
        density, chosen = self.density(scan), []
        omega = (scan.mask & ~scan.padding)[:, :, 0].cpu().numpy()
        for header, frames in zip(scan.headers, omega, strict=True):
            scan_id, generator = header.scan_id, draw.generator(purpose, header.scan_key)
            for own in frames:
                others = density.others(own, header.volume_id)
                if not others:
                    raise BadInput(
                        scan_id, found="one sampling mask in all scans", expected="an archive whose masks differ from scan to scan"
                    )
                chosen.append(others[int(generator.integers(len(others)))])
        return torch.from_numpy(np.stack(chosen)).reshape(scan.mask.shape).to(scan.mask.device)

    def remarks(self) -> tuple[str, ...]:
        """Say in sentences what of the archive's k-space cannot be learned."""
        says = []
        for matrix, density in self.densities.items():
            if never := float(density.never.mean()):
                name = "x".join(map(str, matrix))
                masks = f"{name} are in none of {len(density.masks)} masks"
                says.append(f"{never:.1%} of the locations of {masks}: no self-supervised loss reaches them")
        return tuple(says)


def _smoothed(values: Float[np.ndarray, "*any"], where: Mask, width: float) -> Float[np.ndarray, "*any"]:
    """Return the Gaussian mean over the locations `where`, separately for each place along the leading axes of `values`."""
    if width == 0:
        return values
    weighted, total = values * where, where.astype(float)
    for axis in range(-where.ndim, 0):
        kernel = _gaussian_kernel(where.shape[axis], width)
        weighted, total = (np.moveaxis(np.moveaxis(part, axis, -1) @ kernel, -1, axis) for part in (weighted, total))
    return np.where(where, weighted / np.where(where, total, 1.0), 0.0)


def _gaussian_kernel(n: int, width: float) -> Float[np.ndarray, "n n"]:
    distance = np.arange(n)[:, None] - np.arange(n)
    return np.exp(-0.5 * (distance / width) ** 2)


def _left_out_likelihood(stack: Bool[np.ndarray, "masks *k"], where: Mask, width: float) -> float:
    """Sum the log likelihoods of masks, each under the density of the others with half a success and half a failure added."""
    if not where.any():
        return 0.0
    counts, n, total = stack.sum(axis=0, dtype=float), len(stack), 0.0
    for own in stack[:: -(-n // LEFT_OUT)]:
        p = (_smoothed(counts - own, where, width) + 0.5) / n
        total += float(np.log(np.where(own, p, 1 - p)[where]).sum())
    return total
