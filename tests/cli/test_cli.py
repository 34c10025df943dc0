"""The command as a user meets it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from ssrecon.archive.plain import write_plain
from ssrecon.cli.main import main
from ssrecon.core.errors import BadInput
from ssrecon.privacy.pseudonyms import KEEP_NAMES
from ssrecon.simulation import PhantomArchive
from tests.training.small import RECIPE, assign, make_store

COMMANDS = ("simulate", "prepare", "run", "evaluate", "report", "reconstruct")


def test_help_names_every_command_and_imports_nothing_heavy():
    code = (
        "import sys\nfrom ssrecon.cli.main import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'numpy', 'matplotlib', 'sigpy', 'h5py'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0 and "usage" in capsys.readouterr().out


def test_simulate_prepare_reconstruct(tmp_path, capsys):
    assert main(["simulate", str(tmp_path / "scans"), "--subjects", "1", "--slices", "1", "--matrix", "48", "--coils", "4"]) == 0
    assert main(["prepare", str(tmp_path / "scans"), str(tmp_path / "store")]) == 0
    out = capsys.readouterr().out
    assert "1 scans are ready to train on" in out and "calibration" in out

    from ssrecon.training.trainer import Trainer

    store = make_store(tmp_path / "small")
    Trainer(RECIPE, store, assign(store), tmp_path / "arm").run()
    (tmp_path / "scans" / "broken.h5").write_bytes(b"not HDF5")
    checkpoint = str(tmp_path / "arm/checkpoints/gamma.safetensors")
    arguments = ["reconstruct", checkpoint, str(tmp_path / "scans"), str(tmp_path / "out"), "--complex", "--trust", "tests.training.small"]
    with pytest.warns(UserWarning, match="trained on"):
        assert main(arguments) == 1
    assert "broken.h5" in capsys.readouterr().err
    (written,) = (tmp_path / "out").glob("*.h5")
    with h5py.File(written) as file:
        assert file["reconstruction"].shape == (1, 48, 48) and file["reconstruction_complex"].dtype.kind == "c"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["prepare", "nowhere", "out"], 2, "nowhere"),
        (["run", "nowhere.py"], 3, "nowhere.py: found no such file; expected a Python file"),
        (["reconstruct", "nowhere.safetensors", "scans", "out"], 2, "nowhere.safetensors: found no such file; expected a checkpoint"),
        (["run", "recipes/quickstart.py", "--device", "cuda:99"], 2, "--device cuda:99"),
    ],
)
def test_errors_name_what_was_found_and_expected_and_have_their_exit_code(arguments, code, message, capsys, monkeypatch, tmp_path):
    import torch

    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(arguments) == code
    assert message in capsys.readouterr().err


def test_a_full_disk_is_an_error_and_keeps_what_was_written(tmp_path, monkeypatch, capsys):
    import errno

    from ssrecon.reconstruction import checkpoint
    from ssrecon.training.trainer import Trainer

    store = make_store(tmp_path / "small")
    trainer = Trainer(RECIPE, store, assign(store), tmp_path / "arm")
    trainer.run()
    last = tmp_path / "arm/checkpoints/last.safetensors"
    before = last.read_bytes()

    write = Path.write_bytes

    def full(path, whole):
        write(path, whole[: len(whole) // 2])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BadInput, match="last.safetensors: found that it could not be written .*No space left"):
        checkpoint.save_checkpoint(last, {}, {})
    assert last.read_bytes() == before and [path.name for path in last.parent.glob(".*")] == []


RECIPE_OF_A_PATIENT = """
from ssrecon import Recipe
from ssrecon.store import Data

recipe = Recipe(Data("{source}"))
"""


RECIPE_OF_TWO_STEPS = """
from ssrecon import Comparison, Recipe
from ssrecon.archive import BySubject
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import SSDU
from ssrecon.partition import Uniform
from ssrecon.recipe import Training
from ssrecon.store import Data

arm = Recipe(
    Data("{source}", split=BySubject(1, 1)),
    network=Unrolled(ResNet(blocks=1, channels=4), unrolls=1, cg_iterations=2),
    objective=SSDU(Uniform(0.4)),
    training=Training(steps=2, validate_every=2),
)
comparison = Comparison("unfit", {{"ssdu": arm}}, baselines={{}})
"""


def test_a_run_leaves_unfit_scans_out_and_keeps_them_where_it_is_told_to(tmp_path, capsys):
    """Lines that are said to be acquired and are exactly zero are no scanner's; the centre calibrates all the same."""
    for scan in PhantomArchive(subjects=3, slices=1, matrix=(48, 48), coils=4):
        kspace = scan.kspace.clone()
        kspace[..., :5, :] = 0
        unfit = replace(scan, kspace=kspace, reference=None, truth=None)
        write_plain(tmp_path / "scans" / f"{scan.header.subject}.h5", [unfit])
    (tmp_path / "recipe.py").write_text(RECIPE_OF_TWO_STEPS.format(source=tmp_path / "scans"))
    arguments = ["run", str(tmp_path / "recipe.py"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(arguments) == 2
    assert "exactly zero in every coil" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert main([*arguments, "--keep-unfit"]) == 0
    about = json.loads((tmp_path / "out" / "run.json").read_text())
    assert about["finished"] and about["recipe"]["arms"]["ssdu"]["data"]["keep_unfit"] is True
    assert about["data"]["left_out"] == {} and about["arms"]["ssdu"]["seeds"]["0"]["updates"] == 2


@pytest.fixture
def no_key(tmp_path, monkeypatch):
    """Where the key would be made."""
    monkeypatch.setenv("SSRECON_KEY_FILE", str(tmp_path / "keys" / "key"))
    return tmp_path / "keys"


def test_looking_at_a_recipe_writes_nothing(tmp_path, capsys, no_key, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "shown.py").write_text(RECIPE_OF_A_PATIENT.format(source="/mnt/Musterfrau 19470312/store"))
    assert main(["run", str(tmp_path / "shown.py"), "--show"]) == 0
    assert "/mnt/Musterfrau 19470312/store" in capsys.readouterr().out
    assert not no_key.exists() and [path.name for path in tmp_path.iterdir()] == ["shown.py"]


def test_harmless_names_make_no_key(tmp_path, capsys, no_key):
    inside = tmp_path / "scans"
    assert main(["simulate", str(inside), "--subjects", "1", "--slices", "1", "--matrix", "32", "--coils", "2"]) == 0
    assert main(["audit", str(inside), "--out", str(tmp_path / "audit")]) in (0, 1)
    assert main(["names", str(inside)]) == 0 and "phantom-0000" in capsys.readouterr().out
    assert not no_key.exists()


def test_a_run_refuses_what_bears_identity_and_keeps_names_where_it_is_told_to(tmp_path, capsys, no_key, monkeypatch):
    monkeypatch.setenv(KEEP_NAMES, "0")  # so that it is put back afterwards
    source = tmp_path / "in" / "Musterfrau.h5"
    write_plain(source, list(PhantomArchive(subjects=1, slices=1, matrix=(48, 48), coils=4)))
    recipe = tmp_path / "patient.py"
    recipe.write_text(RECIPE_OF_A_PATIENT.format(source=source))
    arguments = ["run", str(recipe), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*arguments, "--require-deidentified"]) == 2
    assert "may bear identity: the file's name" in capsys.readouterr().err and not (tmp_path / "out").exists()
    # One subject cannot be divided; by then the scans are prepared, under the names that they have.
    assert main([*arguments, "--keep-names"]) == 3
    assert [path.stem for path in (tmp_path / "out" / "store").glob("*.h5")] == ["Musterfrau"]
