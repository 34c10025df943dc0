"""Does `ssrecon audit` find what is wrong with an archive, and nothing where nothing is wrong?

    python benchmarks/audit.py [--volumes 132] [--workers 2]

Writes an archive of simulated scans (two slices a volume, 8 coils, 96x96) in three formats (fastMRI, plain HDF5, BART), spoils some volumes
in every way that the audit looks for, runs the audit and prints, fault by fault, how many volumes were planted and found, and what was said
of the clean ones. GRAPPA is pygrappa's; BART resizes where it is installed. Simulated data throughout.
"""

import argparse
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import device_and_threads, write_result
from espirit import read_cfl, write_cfl
from scipy.signal.windows import hann, tukey

from ssrecon.archive import open_archive
from ssrecon.archive.fastmri.writer import write_fastmri
from ssrecon.archive.plain import write_plain
from ssrecon.core import Draw, Scan
from ssrecon.inspect.audit import audit
from ssrecon.inspect.summary import table
from ssrecon.operators import Fourier
from ssrecon.sampling import Equispaced, Pattern, PoissonDisc, RandomColumns, VariableDensity, undersample
from ssrecon.simulation import PhantomArchive

MATRIX, COILS, CALIBRATION = (96, 96), 8, 16
PATTERNS: tuple[Pattern | None, ...] = (
    None,
    RandomColumns(3, CALIBRATION),
    Equispaced(3, CALIBRATION),
    PoissonDisc(4, CALIBRATION, retrospective_2d=True),
    VariableDensity(4, CALIBRATION, retrospective_2d=True),
)


def zero_filled(scan: Scan) -> Scan:
    kspace = scan.kspace.clone()
    kspace[..., :12, :] = kspace[..., -12:, :] = 0
    return replace(scan, kspace=kspace)


def interpolated(scan: Scan) -> Scan:
    """Zero-filled by BART where it is there, brought to an image in single precision and back."""
    inner = scan.kspace[0, 0, :, 12:-12, 12:-12].numpy()
    if shutil.which("bart"):
        with tempfile.TemporaryDirectory() as folder:
            small, large = Path(folder) / "small", Path(folder) / "large"
            write_cfl(small, inner)
            subprocess.run(["bart", "resize", "-c", "0", "96", "1", "96", str(small), str(large)], check=True, capture_output=True)
            kspace = torch.from_numpy(np.ascontiguousarray(read_cfl(large)))[None, None]
    else:
        kspace = torch.from_numpy(np.pad(inner, ((0, 0), (12, 12), (12, 12))))[None, None]
    image = Fourier(2).adjoint(kspace)
    return replace(scan, kspace=Fourier(2)(image + 1e-6 * image.abs().max() * torch.randn(image.shape)))


def filtered(scan: Scan) -> Scan:
    window = torch.from_numpy(np.outer(hann(98)[1:-1], tukey(98, 0.5)[1:-1])).float()
    return replace(scan, kspace=scan.kspace * window)


def magnitude_derived(scan: Scan) -> Scan:
    return replace(scan, kspace=Fourier(2)(Fourier(2).adjoint(scan.kspace).abs().to(torch.complex64)))


def grappa_filled(scan: Scan) -> Scan:
    import pygrappa

    full, middle = scan.kspace[0, 0].numpy(), MATRIX[0] // 2
    thinned = np.zeros_like(full)
    thinned[:, ::2] = full[:, ::2]
    acs = slice(middle - CALIBRATION, middle + CALIBRATION)
    filled = pygrappa.grappa(thinned, full[:, acs].copy(), kernel_size=(5, 5), coil_axis=0)
    filled[:, acs] = full[:, acs]
    return replace(scan, kspace=torch.from_numpy(filled.astype(np.complex64))[None, None])


def dead_coil(scan: Scan) -> Scan:
    kspace = scan.kspace.clone()
    kspace[:, :, 3] = 0
    return replace(scan, kspace=kspace)


def spiking_coil(scan: Scan) -> Scan:
    kspace = scan.kspace.clone()
    kspace[0, 0, 5, 10, 80] += 20 * kspace[0, 0, 5, :20].abs().square().mean().sqrt()
    return replace(scan, kspace=kspace)


def wrong_mask(scan: Scan) -> Scan:
    kspace = scan.kspace.clone()
    kspace[..., 1::3, :] = torch.where((torch.arange(MATRIX[0])[1::3] - 48).abs()[:, None] > CALIBRATION, 0, kspace[..., 1::3, :])
    return replace(scan, kspace=kspace)


def no_calibration(scan: Scan) -> Scan:
    mask = (torch.arange(MATRIX[0]) % 3 == 0)[:, None].expand(1, 1, 1, *MATRIX).clone()
    return replace(scan, mask=mask, kspace=torch.where(mask, scan.kspace, 0))


def partial_fourier(scan: Scan) -> Scan:
    mask = (torch.arange(MATRIX[0]) >= 24)[:, None].expand(1, 1, 1, *MATRIX).clone()
    return replace(scan, mask=mask, kspace=torch.where(mask, scan.kspace, 0))


def single_coil_lattice(scan: Scan) -> Scan:
    thinned = undersample(scan, Equispaced(3, CALIBRATION), Draw(0))
    return replace(thinned, kspace=thinned.kspace[:, :, :1], noise=None, reference=None, truth=None)


def non_finite(scan: Scan) -> Scan:
    kspace = scan.kspace.clone()
    kspace[0, 0, 0, 48, 48] = torch.nan
    return replace(scan, kspace=kspace)


def off_centre(scan: Scan) -> Scan:
    return replace(scan, kspace=scan.kspace.roll(9, dims=-2))


FAULTS: dict[str, Callable[[Scan], Scan]] = {
    spoil.__name__: spoil
    for spoil in (
        zero_filled, interpolated, filtered, magnitude_derived, grappa_filled, dead_coil, spiking_coil, wrong_mask, no_calibration,
        partial_fourier, single_coil_lattice, non_finite, off_centre,
    )
}  # fmt: skip
FILE_FAULTS = ("duplicate", "unreadable")


def write(folder: Path, number: int, scans: list[Scan], kind: int) -> Path:
    """One volume in one of the formats; the fastMRI layout has one mask of columns, others go to the plain one."""
    lines = bool((scans[0].mask == scans[0].mask[..., :1]).all())
    if kind == 0 and lines:
        path = folder / f"file{1000000 + number}.h5"
        full = bool(scans[0].mask.all())
        mask = None if full else scans[0].mask[0, 0, 0, :, 0]
        kspace = torch.cat([scan.kspace[0] for scan in scans])
        write_fastmri(path, kspace, subject=f"subject{number}", acquisition="AXT1", mask=mask, noise=scans[0].noise)
        return path
    if kind == 1 and scans[0].kspace.shape[2] > 1:
        return _write_bart(folder / f"scan{number}", scans)
    return write_plain(folder / f"scan{number}.h5", scans)


def _write_bart(path: Path, scans: list[Scan]) -> Path:
    def write_cfl_pair(name: str, array: np.ndarray, dims: tuple[int, ...]) -> None:
        (path.parent / f"{name}.hdr").write_text("# Dimensions\n" + " ".join(map(str, dims)) + "\n")
        array.astype(np.complex64).ravel(order="F").tofile(path.parent / f"{name}.cfl")

    coils = scans[0].kspace.shape[2]
    volume = np.stack([scan.kspace[0, 0].numpy() for scan in scans])  # (slices, coils, y, x)
    dims = (MATRIX[1], MATRIX[0], 1, coils, *(1,) * 9, len(scans))
    write_cfl_pair(path.name, volume.transpose(3, 2, 1, 0), dims)
    write_cfl_pair(f"{path.name}_pattern", scans[0].mask[0, 0, 0].numpy().T, (MATRIX[1], MATRIX[0]))
    if scans[0].noise is not None:
        noise = scans[0].noise.numpy()  # (readouts, coils, samples)
        write_cfl_pair(f"{path.name}_noise", noise.transpose(2, 0, 1), (noise.shape[2], noise.shape[0], 1, coils))
    return path.with_suffix(".cfl")


def make_archive(folder: Path, volumes: int) -> dict[str, str]:
    """Write the archive, and return what is wrong with each of its volumes, by the name of its file."""
    archive = PhantomArchive(subjects=volumes, slices=2, matrix=MATRIX, coils=COILS, seed=0)
    ids = list(archive.volumes().values())
    kinds = [*FAULTS, *FILE_FAULTS]
    faults: dict[str, str] = {}
    for number in range(volumes):
        # Three of each kind, one in each format, at the end; what was undersampled goes before.
        place = volumes - 1 - number
        fault = kinds[place // 3] if place < 3 * len(kinds) else ""
        scans = [archive.read(scan_id) for scan_id in ids[number]]
        if fault in FAULTS:
            scans = [FAULTS[fault](scan) for scan in scans]
        elif not fault and (pattern := PATTERNS[number % len(PATTERNS)]) is not None:
            scans = [undersample(scan, pattern, Draw(number)) for scan in scans]
        elif fault == "duplicate":
            order = torch.randperm(COILS, generator=torch.Generator().manual_seed(number))
            copied = [archive.read(scan_id) for scan_id in ids[number % 3 * len(PATTERNS)]]
            scans = [replace(scan, kspace=7.5 * scan.kspace[:, :, order], noise=None) for scan in copied]
        path = write(folder, number, [replace(scan, reference=None, truth=None) for scan in scans], number % 3)
        if fault == "unreadable":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        faults[path.stem] = fault
    return faults


def intact_files(folder: Path, faults: dict[str, str]) -> list[Path]:
    """Return one file of each volume that was not truncated."""
    return [
        next(path for path in folder.glob(f"{stem}.*") if path.suffix != ".hdr") for stem, fault in faults.items() if fault != "unreadable"
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=132)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--show", action="store_true", help="print the audit's own table too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "archive").mkdir()
        faults = make_archive(folder / "archive", options.volumes)
        counts = dict(Counter(open_archive(path).format_name for path in intact_files(folder / "archive", faults)))
        found = audit(open_archive(folder / "archive"), folder / "out", options.workers)
    if options.show:
        print(table(found))
    kinds_found: dict[str, set[str]] = {stem: set() for stem in faults}
    for record in found.scans:
        kinds_found[record.volume] |= {str(finding["kind"]) for finding in record.findings if finding["severity"] != "note"}
    print(*(f"not read: {file}: {reason}" for file, reason in found.refused.items()), sep="\n")
    for file in found.refused:
        kinds_found[Path(file).stem.partition("_")[0]].add("unreadable")  # BART: several files
    rows = []
    for fault in [*FAULTS, *FILE_FAULTS]:
        planted = [stem for stem, fault_of_volume in faults.items() if fault_of_volume == fault]
        hits = sum(fault in kinds_found[stem] for stem in planted)
        others = sorted({kind for stem in planted for kind in kinds_found[stem]} - {fault})
        rows.append({"fault": fault, "planted": len(planted), "found": hits, "also_said": others})
        print(f"{fault:22} planted {len(planted)}, found {hits}" + (f", also said: {', '.join(others)}" if others else ""))
    clean = [stem for stem, fault_of_volume in faults.items() if not fault_of_volume]
    alarms = {stem: sorted(kinds_found[stem]) for stem in clean if kinds_found[stem]}
    print(f"{'clean':22} {len(clean)} volumes, {2 * len(clean)} scans, false alarms {len(alarms)} {alarms or ''}")
    write_result("audit", {"device": device_and_threads(), "data": "simulated", "scans": 2 * len(faults), "volumes": counts, "faults": rows,
                           "clean_volumes": len(clean), "false_alarms": len(alarms)})  # fmt: skip
    raise SystemExit(0 if not alarms and all(row["found"] == row["planted"] for row in rows) else 1)


if __name__ == "__main__":
    main()
