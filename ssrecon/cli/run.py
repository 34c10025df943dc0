"""``ssrecon run``."""

import argparse
from pathlib import Path

from ssrecon.cli.options import device_of, identity_options, leave_out_option


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "run",
        help="run a recipe: train, compare, report",
        epilog="Any field of the recipe: --dotted.name VALUE, such as --objective.partitioner.loss-fraction 0.3; --show prints them all.",
    )
    command.add_argument("recipe", type=Path)
    command.add_argument("--out", type=Path, help="run folder (default: runs/NAME of the recipe)")
    command.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: a GPU where there is one)")
    command.add_argument("--steps", type=int, help="updates of every arm")
    command.add_argument("--workers", type=int, default=1, help="arms and seeds trained at a time, each in a process of its own")
    command.add_argument("--resume", action="store_true", help="continue an interrupted run")
    command.add_argument("--show", action="store_true", help="print the recipe with its overrides as JSON, and stop")
    keep = "train and evaluate on scans that the verdict says may not train, where they can be calibrated"
    command.add_argument("--keep-unfit", action="store_true", help=keep)
    leave_out_option(command)
    identity_options(command)
    command.set_defaults(function=call)


def call(options: argparse.Namespace, rest: list[str]) -> None:
    import json
    from functools import partial

    from ssrecon.archive.leave_out import expanded
    from ssrecon.core.description import describe
    from ssrecon.core.distributed import process
    from ssrecon.recipe import load_recipe, override
    from ssrecon.study.comparison import run

    steps = [] if options.steps is None else ["--training.steps", str(options.steps)]
    recipe = load_recipe(options.recipe)
    keep = ["--data.keep-unfit", "True"] if options.keep_unfit else []
    patterns = dict.fromkeys([*recipe.data.leave_out, *expanded(options.leave_out)])
    leave_out = ["--data.leave-out", *patterns] if options.leave_out else []
    experiment = override(recipe, [*steps, *keep, *leave_out, *rest])
    if options.show:
        # With the paths as they are: whoever asks knows them, and a pseudonym would make a key where there is none.
        print(json.dumps(describe(experiment), indent=2))
        return
    out = options.out or Path("runs") / options.recipe.stem
    with process(device_of(options.device)) as this:
        report = run(experiment, out, this, options.resume, partial(print, flush=True), options.workers, options.require_deidentified)
        if this.first:
            print(f"\nreport: {report}")
