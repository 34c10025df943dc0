"""Identity planted in an archive, in the path of a recipe's data and in its lists is in nothing that the commands write."""

import json
from pathlib import Path

import h5py
import pytest

from ssrecon.archive.plain import write_plain
from ssrecon.cli.main import main
from ssrecon.simulation import PhantomArchive
from ssrecon.store.prepare import LeftOut
from tests.contracts.test_identity import ACCESSION, BIRTH, NAME, TOLD, held, secrets, told

PEOPLE = tuple(f"{NAME} {first}" for first in ("Anna", "Berta", "Clara", "Dora"))

RECIPE = """
from ssrecon.archive.splits import ByList
from ssrecon.calibrate import Calibrator
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import SSDU
from ssrecon import Data, Recipe, Training
from ssrecon.sampling import RandomColumns

recipe = Recipe(
    data=Data(FOLDER + "/scans", RandomColumns(1.6, calibration_lines=14), Calibrator(coils=2), ByList(*LISTS)),
    network=Unrolled(ResNet(blocks=1, channels=4), unrolls=1, cg_iterations=2),
    objective=SSDU(),
    training=Training(steps=2, validate_every=1),
)
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What `prepare`, `run`, `reconstruct`, `evaluate` and `report` leave of four people's scans, in one folder."""
    folder = tmp_path_factory.mktemp("in") / f"{NAME} {BIRTH}"
    (folder / "scans").mkdir(parents=True)
    archive = PhantomArchive(subjects=4, slices=1, matrix=(32, 32), coils=2)
    for person, scan in zip(PEOPLE, archive, strict=True):
        with h5py.File(write_plain(folder / "scans" / f"{person} {ACCESSION}.h5", [scan]), "a") as file:
            file.attrs["subject"], file.attrs["protocol"], file.attrs["PatientName"] = person, TOLD, TOLD
            file.attrs["site"] = f"Hospital of {NAME}"
    (folder / "scans" / f"{NAME}.h5").write_text(TOLD)
    lists = {"train": PEOPLE[:2], "validation": PEOPLE[2:3], "test": PEOPLE[3:]}
    for name, people in lists.items():
        (folder / f"{name}.lst").write_text("\n".join(people) + "\n")
    recipe = tmp_path_factory.mktemp("recipe") / "small.py"
    recipe.write_text(f"FOLDER, LISTS = {str(folder)!r}, {[f'{folder}/{name}.lst' for name in lists]!r}\n{RECIPE}")
    out = tmp_path_factory.mktemp("out")
    with pytest.warns(UserWarning):
        assert main(["prepare", str(folder / "scans"), str(out / "store")]) == 1  # one file is broken
        assert main(["run", str(recipe), "--out", str(out / "run"), "--device", "cpu"]) == 0
        checkpoint = next((out / "run").rglob("gamma.safetensors"))
        assert main(["reconstruct", str(checkpoint), str(folder / "scans"), str(out / "images"), "--complex", "--device", "cpu"]) == 1
    references = tmp_path_factory.mktemp("references")
    for file in (out / "images").glob("*.h5"):
        with h5py.File(file) as made, h5py.File(references / file.name, "w") as full:
            full["reconstruction_rss"], full.attrs["patient_id"] = made["reconstruction"][()], TOLD
    assert main(["evaluate", str(out / "images"), str(references), "--out", str(out / "scores")]) == 0
    assert main(["report", str(out / "run")]) == 0
    return folder, recipe, out


def test_nothing_of_it_is_in_what_the_commands_write(outputs):
    folder, _, out = outputs
    everything = told(out)
    assert all(text in told(folder.parent) for text in ("musterfrau", BIRTH))
    for name in ("run.json", ".catalogue.sqlite", "metrics.csv", "report.html", "images.npz", "gamma.safetensors", "history.csv"):
        assert name in everything, name
    for text in (*secrets(), "anna", "clara", "hospital of"):
        assert not held(text, everything), text


def test_the_run_says_where_its_data_lay_by_pseudonyms(outputs):
    _, _, out = outputs
    arms = json.loads((out / "run" / "run.json").read_text())["recipe"]["arms"]
    (data,) = (arm["data"] for arm in arms.values())
    assert Path(data["source"]).name == "scans" and data["source"].split("/")[-2].startswith("v-")
    assert Path(data["split"]["train"]).name == "train.lst"
    assert len(list((out / "images").glob("*.h5"))) == len(PEOPLE)


def test_such_a_run_is_continued_by_the_same_command(outputs):
    """The description of its data is not the path itself, and is the same each time."""
    _, recipe, out = outputs
    checkpoint = next((out / "run").rglob("gamma.safetensors"))
    before, record = checkpoint.read_bytes(), out / "run" / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "finished": None}))
    command = ["run", str(recipe), "--out", str(out / "run"), "--device", "cpu"]
    assert main(command) == 5
    with pytest.warns(LeftOut):  # the broken file
        assert main([*command, "--resume"]) == 0
    assert checkpoint.read_bytes() == before and json.loads(record.read_text())["finished"]
