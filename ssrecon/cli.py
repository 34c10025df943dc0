"""The `ssrecon` command. Each subcommand is a few lines that call a function of the library; heavy imports wait until they are needed."""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

DESCRIPTION = "Train MRI reconstruction on undersampled k-space without ground truth, and compare it honestly."
EXIT_CODES = (
    "exit codes: 0 done, 1 some scans failed, 2 bad input, 3 bad recipe, 4 no calibration, 5 output folder in use, 6 diverged, 130 stopped"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; its exit code."""
    parser = _parser()
    known, rest = parser.parse_known_args(arguments)
    if rest and known.command != "run":
        parser.error("unrecognised arguments: " + " ".join(rest))
    # Only now: the help needs none of it.
    from ssrecon.errors import SsreconError

    if getattr(known, "keep_names", False):
        from ssrecon.identity import KEEP_NAMES

        os.environ[KEEP_NAMES] = "1"  # of this process, and of those it starts
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        return int(known.function(known, rest) or 0)
    except SsreconError as error:
        print(f"ssrecon {known.command}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as error:
        print(f"\nssrecon {known.command}: {error or 'stopped'}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): no error of ours, and nothing more to say. Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where, why = error.filename or "file system", error.strerror or error
        print(f"ssrecon {known.command}: {where}: {why}; what was written before is whole", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("ssrecon", description=DESCRIPTION, epilog=EXIT_CODES)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    simulate = commands.add_parser("simulate", help="write an archive of simulated raw scans")
    simulate.add_argument("out", type=Path)
    simulate.add_argument("--subjects", type=int, default=8)
    simulate.add_argument("--slices", type=int, default=4, help="of each subject")
    simulate.add_argument("--matrix", type=int, default=256)
    simulate.add_argument("--coils", type=int, default=8)
    simulate.add_argument("--seed", type=int, default=0)
    simulate.set_defaults(function=_simulate)

    prepare = commands.add_parser("prepare", help="whiten, scale and estimate coil sensitivities, once")
    prepare.add_argument("archive", type=Path)
    prepare.add_argument("out", type=Path)
    prepare.add_argument("--coils", type=int, help="compress to so many virtual coils")
    prepare.add_argument(
        "--maps", choices=("auto", "1", "2"), default="auto", help="map sets; auto: 2 where an object is larger than its image"
    )
    prepare.add_argument("--device", default="cpu", help="cpu, cuda, ...: where sensitivities are estimated (default: cpu)")
    prepare.add_argument("--no-hybrid", action="store_true", help="keep 3-D scans native, not as slices across the readout")
    _engine_options(prepare)
    _identity_options(prepare)
    prepare.set_defaults(function=_prepare)

    audit = commands.add_parser("audit", help="what is in an archive, and may it train: a table, a page and a JSON")
    audit.add_argument("archive", type=Path)
    audit.add_argument("--out", type=Path, default=Path("audit"), help="where audit.html and audit.json go (default: ./audit)")
    _engine_options(audit)
    _identity_options(audit)
    audit.set_defaults(function=_audit)

    names = commands.add_parser("names", help="which file is behind each pseudonym of an archive, for whoever has the key")
    names.add_argument("archive", type=Path)
    names.set_defaults(function=_names)

    run = commands.add_parser(
        "run",
        help="run a recipe: train, compare, report",
        epilog="Any field of the recipe: --dotted.name VALUE, such as --objective.partitioner.loss-fraction 0.3; --show prints them all.",
    )
    run.add_argument("recipe", type=Path)
    run.add_argument("--out", type=Path, help="run folder (default: runs/NAME of the recipe)")
    run.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: a GPU where there is one)")
    run.add_argument("--steps", type=int, help="updates of every arm")
    run.add_argument("--workers", type=int, default=1, help="arms and seeds trained at a time, each in a process of its own")
    run.add_argument("--resume", action="store_true", help="continue an interrupted run")
    run.add_argument("--show", action="store_true", help="print the recipe with its overrides as JSON, and stop")
    run.set_defaults(function=_run)

    evaluate = commands.add_parser("evaluate", help="score fastMRI-style reconstructions against references, subject by subject")
    evaluate.add_argument("reconstructions", type=Path, help="folder of HDF5 files with `reconstruction`")
    evaluate.add_argument("references", type=Path, help="folder of the fully sampled files")
    evaluate.add_argument("--out", type=Path, help="where to write metrics.csv")
    evaluate.set_defaults(function=_evaluate)

    report = commands.add_parser("report", help="write a run folder's report again")
    report.add_argument("run", type=Path)
    report.set_defaults(function=_report)

    reconstruct = commands.add_parser("reconstruct", help="reconstruct scans with a trained network")
    reconstruct.add_argument("checkpoint", type=Path)
    reconstruct.add_argument("scans", type=Path, help="a file or a folder")
    reconstruct.add_argument("out", type=Path)
    reconstruct.add_argument("--complex", action="store_true", help="write complex images too")
    reconstruct.add_argument("--device", help="cpu, cuda, ... (default: a GPU where there is one)")
    reconstruct.add_argument("--trust", action="append", default=[], metavar="MODULE", help="import classes of the checkpoint from it")
    _identity_options(reconstruct)
    reconstruct.set_defaults(function=_reconstruct)
    return parser


def _engine_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--workers", type=int, default=1, help="processes of this machine")
    command.add_argument("--shard", metavar="I/N", help="the I-th of N parts of the archive, as the tasks of a SLURM array share it")
    command.add_argument("--dask", metavar="ADDRESS", help="give the work to a Dask cluster (tcp://HOST:8786)")


def _identity_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--require-deidentified", action="store_true", help="refuse files that still bear names, dates or numbers of people"
    )
    command.add_argument("--keep-names", action="store_true", help="keep the names of files and folders: for data that are public")


def _device(chosen: str | None) -> str:
    import torch

    if chosen is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    from ssrecon.errors import BadInput

    try:
        torch.device(chosen)
    except RuntimeError as error:
        raise BadInput("--device " + chosen, found="no device that torch knows", expected="cpu, cuda, cuda:1 ...") from error
    if chosen.startswith("cuda") and not torch.cuda.is_available():
        raise BadInput("--device " + chosen, found="no GPU that torch can use", expected="cpu, or a CUDA build of torch")
    return chosen


def _simulate(options: argparse.Namespace, rest: list[str]) -> None:
    from ssrecon.archive.phantom import PhantomArchive
    from ssrecon.simulate import simulate

    matrix = (options.matrix, options.matrix)
    archive = PhantomArchive(subjects=options.subjects, slices=options.slices, matrix=matrix, coils=options.coils, seed=options.seed)
    files = simulate(options.out, archive)
    print(f"{options.out}: {len(files)} volumes of simulated scans")


def _prepare(options: argparse.Namespace, rest: list[str]) -> int:
    from ssrecon.archive import open_archive
    from ssrecon.calibrate import Calibrator
    from ssrecon.engines import parse_shard
    from ssrecon.prepare import prepare

    shard, device = parse_shard(options.shard) if options.shard else None, _device(options.device)
    archive = open_archive(options.archive, options.require_deidentified)
    print(archive.describe())
    calibrator = Calibrator(maps=None if options.maps == "auto" else int(options.maps), coils=options.coils)
    result = prepare(
        archive,
        options.out,
        calibrator,
        workers=options.workers,
        shard=shard,
        dask=options.dask,
        hybrid=not options.no_hybrid,
        device=device,
    )
    print(f"{options.out}: {len(result.headers)} scans are ready to train on")
    return 1 if result.skipped else 0


def _audit(options: argparse.Namespace, rest: list[str]) -> int:
    from ssrecon.archive import open_archive
    from ssrecon.engines import parse_shard
    from ssrecon.inspect.audit import audit
    from ssrecon.inspect.page import write_page
    from ssrecon.inspect.summary import table, write_json

    shard = parse_shard(options.shard) if options.shard else None
    archive = open_archive(options.archive, options.require_deidentified)
    found = audit(archive, options.out, options.workers, shard, options.dask)
    write_json(found, options.out / "audit.json")
    print(table(found))
    print(f"\npage: {write_page(found, options.out / 'audit.html')}")
    return 1 if found.verdicts["refuse"] or found.refused else 0


def _names(options: argparse.Namespace, rest: list[str]) -> None:
    from ssrecon.archive import open_archive

    archive = open_archive(options.archive)
    for volume_id in archive.volumes():
        print(volume_id, *archive.files(volume_id), sep="\t")


def _run(options: argparse.Namespace, rest: list[str]) -> None:
    import json

    from ssrecon.distributed import process
    from ssrecon.overrides import load_recipe, override
    from ssrecon.study.comparison import run

    steps = [] if options.steps is None else ["--training.steps", str(options.steps)]
    experiment = override(load_recipe(options.recipe), [*steps, *rest])
    if options.show:
        print(json.dumps(experiment.description, indent=2))
        return
    out = options.out or Path("runs") / options.recipe.stem
    with process(_device(options.device)) as this:
        report = run(experiment, out, this, options.resume, lambda text: print(text, flush=True), options.workers)
        if this.first:
            print(f"\nreport: {report}")


def _evaluate(options: argparse.Namespace, rest: list[str]) -> None:
    from ssrecon.evaluate_folder import evaluate_folder

    print(evaluate_folder(options.reconstructions, options.references, options.out))


def _report(options: argparse.Namespace, rest: list[str]) -> None:
    from ssrecon.study.report import write_report

    print(write_report(options.run))


def _reconstruct(options: argparse.Namespace, rest: list[str]) -> int:
    from ssrecon.reconstruct import reconstruct
    from ssrecon.trained import load_checkpoint

    device = _device(options.device)
    trained = load_checkpoint(options.checkpoint, device, options.trust)
    results = reconstruct(
        trained,
        options.scans,
        options.out,
        complex_images=options.complex,
        device=device,
        require_deidentified=options.require_deidentified,
    )
    failed = [result for result in results if result.error is not None]
    for result in failed:
        print(f"{result.source}: {result.error}", file=sys.stderr)
    print(f"{options.out}: {len(results) - len(failed)} of {len(results)} volumes reconstructed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
