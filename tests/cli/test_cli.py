"""The command as a user meets it."""

import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from ssrecon.cli.main import main
from ssrecon.core.errors import BadInput
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
