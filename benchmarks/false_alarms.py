"""Do the detectors of the audit find anything in scans with nothing wrong? They look at 300 simulated ones.

    python benchmarks/false_alarms.py [--scans 300] [--seed 0]

SNR 10 to 400 (the mean of the image inside the object over its noise, combined over coils), 1 to 32 coils, 2-D and 3-D, some partial
Fourier, some with a readout of twice the field of view that the header states (half of the others state no field of view), every pattern of
`sampling.patterns`, objects from smooth ellipses to textured ones with many edges, coils on a ring with noise of their own or correlated.
Prints what was found in which scan, and ends with status 1 where anything was. Simulated data throughout; seeded.
"""

import argparse
import math
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import torch
from common import device_and_threads, write_result

from ssrecon.core import Draw, Header, Scan
from ssrecon.core.encoding import GridPoints, WholeLines
from ssrecon.inspect.centre import off_centre
from ssrecon.inspect.channels import CHANNELS
from ssrecon.inspect.data_crimes import DATA_CRIMES
from ssrecon.inspect.oversampling import oversampled
from ssrecon.operators import Fourier
from ssrecon.sampling import Equispaced, Pattern, PoissonDisc, RandomColumns, VariableDensity, undersample

DETECTORS = (*DATA_CRIMES, *CHANNELS, off_centre, oversampled)
"""What these find is wrong with the data. What the sampling allows, and whether the noise is known, is no fault of the data."""


@dataclass(frozen=True)
class CleanScan:
    """This is one clean scan, and what it was made with."""

    scan: Scan
    about: str


def clean_scan(seed: int, number: int) -> CleanScan:
    """Return the `number`-th clean scan of a seed."""
    rng = np.random.default_rng([seed, number])
    is_3d = number % 5 == 4
    coils = int(rng.choice([1, 2, 3, 4, 6, 8, 12, 16, 24, 32])) if not is_3d else int(rng.choice([1, 2, 4, 8]))
    shape = tuple(int(n) for n in rng.integers(20, 33, 3)) if is_3d else tuple(int(n) for n in rng.integers(64, 129, 2))
    snr = float(np.exp(rng.uniform(math.log(10), math.log(400))))
    double_readout = bool(rng.random() < 0.25) and not is_3d
    encoded = (*shape[:-1], 2 * shape[-1]) if double_readout else shape
    axes = [(np.arange(n) - n // 2) / n * 2 for n in encoded]
    if double_readout:
        axes[-1] = axes[-1] * 2  # the object fills half of the readout's field of view
    grid = np.meshgrid(*axes, indexing="ij")
    fov_stated = double_readout or bool(rng.random() < 0.5)
    image = torch.from_numpy(_random_object(rng, grid, 0.4 if fov_stated else 0.75))[None, None, None]
    clean = Fourier(len(shape))(torch.from_numpy(_random_coils(rng, coils, grid))[None, None] * image[:, :, 0][:, :, None])
    inside = image.abs() > 0
    sigma = float(image.abs()[inside].mean()) / snr
    mixing = np.eye(coils) + (0.2 * (rng.standard_normal((coils, coils)) + 1j * rng.standard_normal((coils, coils))) / coils**0.5
                              if rng.random() < 0.5 else 0)  # fmt: skip

    def noise(*size: int) -> np.ndarray:
        white = (rng.standard_normal((coils, *size)) + 1j * rng.standard_normal((coils, *size))) / 2**0.5
        return sigma * np.tensordot(mixing, white, axes=1)

    kspace = (clean + torch.from_numpy(noise(*encoded))[None, None]).to(torch.complex64)
    readout = bool(rng.random() < 0.7)
    gain = float(10 ** rng.uniform(-7, 4))
    mask = torch.ones(1, 1, 1, *encoded, dtype=torch.bool)
    with_noise = bool(rng.random() < 0.5)
    name = f"clean-{number:03d}"
    fov = tuple(200.0 for _ in encoded) if fov_stated else ()
    header = Header(name, name, name, encoding=WholeLines() if readout else GridPoints(), encoded_matrix=encoded, encoded_fov=fov,
                    recon_matrix=shape, recon_fov=(*fov[:-1], fov[-1] / 2) if double_readout else fov)  # fmt: skip
    scan = Scan(header, gain * kspace, mask, torch.zeros_like(mask),
                noise=gain * torch.from_numpy(noise(64, 128)).transpose(0, 1).to(torch.complex64) if with_noise else None)  # fmt: skip
    pattern = _random_pattern(rng, is_3d, readout)
    if pattern is not None:
        scan = undersample(scan, pattern, Draw(number))
    partial = bool(rng.random() < 0.3)
    if partial:
        axis = len(encoded) - 2
        first = int(encoded[axis] * rng.uniform(0.1, 0.3))
        keep = (torch.arange(encoded[axis]) >= first).reshape(-1, *[1] * (len(encoded) - axis - 1))
        scan = replace(scan, mask=scan.mask & keep, kspace=torch.where(scan.mask & keep, scan.kspace, 0))
    words = (f"{coils} coils", "x".join(map(str, encoded)), f"SNR {snr:.0f}", "full" if pattern is None else type(pattern).__name__,
             "partial Fourier" if partial else "", "twice the readout" if double_readout else "",
             "lines" if readout else "points")  # fmt: skip
    return CleanScan(replace(scan, reference=None, reference_mask=None, truth=None), ", ".join(word for word in words if word))


def _random_pattern(rng: np.random.Generator, is_3d: bool, readout: bool) -> Pattern | None:
    rate, lines = int(rng.choice([2, 3, 4])), int(rng.choice([12, 16]))
    lines = min(lines, 12 if rate == 4 else lines)
    if is_3d:
        return None if rng.random() < 0.5 or not readout else PoissonDisc(2, 12)
    choices = [None, None, RandomColumns(rate, lines), Equispaced(rate, lines)]
    if not readout:
        choices += [PoissonDisc(rate, lines, retrospective_2d=True), VariableDensity(rate, lines, retrospective_2d=True)]
    return choices[int(rng.integers(len(choices)))]


def _random_object(rng: np.random.Generator, grid: list[np.ndarray], smallest: float) -> np.ndarray:
    """A head-like ellipsoid with blobs, edges and a smooth phase; sometimes a textured one, one that is nearly the field of view."""
    size = rng.uniform(smallest, 0.95)
    radius = sum((g / (size * rng.uniform(0.7, 1))) ** 2 for g in grid)
    image = np.where(radius < 1, rng.uniform(0.3, 1), 0.0)
    for _ in range(int(rng.integers(0, 12))):
        centre, width = [rng.uniform(-0.5, 0.5) for _ in grid], rng.uniform(0.04, 0.25)
        distance = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))
        image = image + np.where((distance < width**2) & (radius < 1), rng.uniform(-0.3, 0.8), 0)
    if rng.random() < 0.3:
        image = image * (1 + 0.3 * rng.standard_normal(image.shape))
    phase = rng.uniform(0, 6) + sum(rng.normal(0, 1) * g + rng.normal(0, 0.7) * g**2 for g in grid)
    return image.clip(0) * np.exp(1j * phase)


def _random_coils(rng: np.random.Generator, coils: int, grid: list[np.ndarray]) -> np.ndarray:
    """On a ring around the last two axes (and along the first of three), of unit root sum of squares; a single one is uneven too."""
    found = []
    for coil in range(coils):
        angle = 2 * np.pi * (coil + rng.uniform(-0.2, 0.2)) / coils
        where = [1.2 * np.sin(angle), 1.2 * np.cos(angle)]
        distance = sum((g - w) ** 2 for g, w in zip(grid[-2:], where, strict=True))
        if len(grid) == 3:
            distance = distance + (grid[0] - rng.uniform(-0.8, 0.8)) ** 2
        bend = rng.normal(0, 0.8) * grid[-1] + rng.normal(0, 0.8) * grid[-2]
        found.append(np.exp(-distance / rng.uniform(1, 2)) * np.exp(1j * (rng.uniform(0, 6) + bend)))
    maps = np.stack(found)
    return maps if coils == 1 else maps / np.linalg.norm(maps, axis=0)


def findings_of(scan: Scan) -> dict[str, str]:
    """Return what the detectors of the audit say is wrong with the data of a scan: kinds of findings, with their reasons."""
    return {finding.kind: finding.reason for detect in DETECTORS if (finding := detect(scan)) is not None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows, kinds = [], Counter[str]()
    for number in range(options.scans):
        case = clean_scan(options.seed, number)
        if found := findings_of(case.scan):
            kinds.update(found)
            rows.append({"scan": case.scan.scan_id, "about": case.about, "alleged": found})
            print(f"{case.scan.scan_id} ({case.about})", *(f"   {kind}: {reason}" for kind, reason in found.items()), sep="\n")
    print(f"{options.scans} clean scans, something alleged of {len(rows)} {dict(kinds) or ''}")
    about = {"device": device_and_threads(), "data": "simulated", "scans": options.scans, "seed": options.seed}
    write_result("false_alarms", {**about, "alarms": rows})
    raise SystemExit(1 if rows else 0)


if __name__ == "__main__":
    main()
