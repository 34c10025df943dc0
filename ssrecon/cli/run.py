"""``ssrecon run``."""

import argparse
from pathlib import Path

from ssrecon.cli.options import Commands, device_of, identity_options, keep_unfit_option, leave_out_option, new_command

FIELDS = (
    "Every field of the recipe is an option too: --dotted.name VALUE, such as --objective.partitioner.loss-fraction 0.3. --show prints all "
    "fields with their values."
)


def add(commands: Commands) -> None:
    command = new_command(commands, "run", "do what a recipe says: train networks, compare them on test scans, write a report", FIELDS)
    command.add_argument("recipe", type=Path, help="a Python file that describes the experiment, such as recipes/quickstart.py")
    command.add_argument("--out", type=Path, help="folder for the run's files (default: runs/NAME, for a recipe NAME.py)")
    command.add_argument("--device", help="what to compute on: cpu, cuda, cuda:1 ... (default: a GPU where there is one)")
    command.add_argument("--steps", type=int, metavar="N", help="train every network for N updates (default: what the recipe says)")
    command.add_argument("--workers", type=int, default=1, metavar="N", help="train N networks at a time, on the same device (default: 1)")
    command.add_argument("--resume", action="store_true", help="continue a run that was interrupted, from its last checkpoints")
    command.add_argument("--show", action="store_true", help="print the recipe as JSON with what these options change, and stop")
    keep_unfit_option(command)
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
