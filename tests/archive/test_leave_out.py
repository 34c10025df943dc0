"""Scans that somebody wants left out, by pattern and by list."""

import csv
import json
import shutil
from dataclasses import replace

import pytest
import torch

from ssrecon.archive.leave_out import expanded, left_out
from ssrecon.archive.plain import write_plain
from ssrecon.cli.main import main
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.core.scan import Header
from ssrecon.operators import Fourier
from ssrecon.privacy.pseudonyms import safe_name
from ssrecon.simulation import PhantomArchive
from ssrecon.store.data import Data
from ssrecon.store.store import Store

HEADERS = [Header(f"v{volume}/slice-{index:03d}", f"v{volume}", f"person{volume // 2}") for volume in range(4) for index in range(2)]


def test_scans_volumes_and_subjects():
    assert left_out(HEADERS, ["v0"]) == {"v0/slice-000", "v0/slice-001"}
    assert left_out(HEADERS, ["*/slice-001", "v0"]) == {"v0/slice-000", *(f"v{volume}/slice-001" for volume in range(4))}
    assert left_out(HEADERS, ["person1"]) == left_out(HEADERS, ["v[23]"]) == {h.scan_id for h in HEADERS if h.subject == "person1"}
    assert left_out(HEADERS, []) == set()


def test_what_fits_nothing_or_everything_is_an_error():
    with pytest.raises(BadInput, match=r"leave out 'v9'.*nothing that it fits.*v0/slice-000"):
        left_out(HEADERS, ["v0", "v9"])
    with pytest.raises(BadInput, match="all 8 scans"):
        left_out(HEADERS, ["*"])


def test_a_name_that_is_the_pattern_fits_it():
    """Brackets are those of a shell only where nothing is called so."""
    headers = [Header(f"{volume}/slice-000", volume, volume) for volume in ("brain[1]", "brain1", "brain2", "knee")]
    assert left_out(headers, ["brain[1]"]) == {"brain[1]/slice-000"}
    assert left_out(headers, ["brain[1]/slice-000"]) == {"brain[1]/slice-000"}
    assert left_out(headers[1:], ["brain[1]"]) == {"brain1/slice-000"}
    assert len(Data("in", leave_out=("brain[1]",)).chosen(headers)) == 3


def test_a_file_by_its_own_name():
    """With its suffix, and before a pseudonym took its place, as in the lists of a split."""
    name = safe_name("Doe_Jane")
    headers = [Header(f"{volume}/slice-000", volume, volume) for volume in ("brain1", "brain2", name)]
    assert left_out(headers, ["brain2.h5"]) == {"brain2/slice-000"}
    assert left_out(headers, ["Doe_Jane.h5"]) == left_out(headers, ["Doe_Jane"]) == {f"{name}/slice-000"} != {"Doe_Jane/slice-000"}
    for pattern in ("", ".", "brain3.h5"):
        with pytest.raises(BadInput, match="nothing that it fits"):
            left_out(headers, [pattern])


def test_a_file_that_was_not_read():
    for pattern in ("broken.h5", "broken", "brok*", safe_name("broken.h5"), "Doe_Jane.h5", safe_name("Doe_Jane.h5")):
        assert left_out(HEADERS, [pattern, "v1"], ["broken.h5", "Doe_Jane.h5"]) == {"v1/slice-000", "v1/slice-001"}
    assert left_out(HEADERS, ["Doe_Jane.h5"], [safe_name("Doe_Jane.h5")]) == set()  # as a store names it
    with pytest.raises(BadInput, match="nothing that it fits"):
        left_out(HEADERS, ["broken2.h5"], ["broken.h5"])


def test_a_list(tmp_path):
    (tmp_path / "marked.lst").write_text("v3\n", encoding="utf-8-sig")
    assert expanded([str(tmp_path / "marked.lst")]) == ("v3",)
    (tmp_path / "bad.lst").write_text("# moved\nv0/slice-001  # a spike\n\nv1\n")
    assert expanded(["v2", str(tmp_path / "bad.lst"), "v1"]) == ("v2", "v0/slice-001", "v1")
    (tmp_path / "none.lst").write_text("# Scans that the audit refuses\n")
    assert expanded([str(tmp_path / "none.lst")]) == ()
    (tmp_path / "empty.lst").write_text("\n")
    for name in ("empty.lst", "missing.lst"):
        with pytest.raises(BadInput, match=name):
            expanded([str(tmp_path / name)])
    with pytest.raises(BadRecipe, match=r"bad\.lst"):
        Data("in", leave_out=("bad.lst",))


@pytest.mark.parametrize("matrix", [(64, 48), (40, 48, 40)])
def test_what_the_audit_refuses_is_a_list_for_the_others(matrix, tmp_path, capsys):
    """k-space of magnitude images is refused by the audit alone: it can be calibrated, and teaches a network the wrong thing."""
    archive, fourier = PhantomArchive(subjects=2, slices=1, matrix=matrix[-2:], coils=4), Fourier(len(matrix))
    for number, scan in enumerate(archive):
        scan = replace(scan, reference=None, reference_mask=None, truth=None)
        if len(matrix) == 3:
            slab = torch.hann_window(matrix[0] + 2)[1:-1, None, None] * Fourier(2).adjoint(scan.kspace)[:, :, :, None]
            noise = torch.randn(1, 1, 4, *matrix, dtype=slab.dtype, generator=torch.Generator().manual_seed(number))
            mask = scan.mask[:, :, :, None].expand(1, 1, 1, *matrix)
            header = Header(scan.scan_id, scan.header.volume_id, scan.header.subject)
            scan = replace(scan, header=header, kspace=fourier(slab) + 1e-3 * slab.abs().amax() * noise, mask=mask, padding=~mask)
        if number == 0:
            scan = replace(scan, kspace=fourier(fourier.adjoint(scan.kspace).abs().to(torch.complex64)))
        write_plain(tmp_path / "in" / f"brain{number}.h5", [scan])
    refused = tmp_path / "audit" / "refused.lst"
    assert main(["audit", str(tmp_path / "in"), "--out", str(refused.parent)]) == 1
    assert f"--leave-out {refused}" in capsys.readouterr().out
    (name,) = expanded([str(refused)])
    assert "# magnitude_derived" in refused.read_text().splitlines()
    main(["prepare", str(tmp_path / "in"), str(tmp_path / "store"), "--leave-out", str(refused)])
    kept = {header.volume_id for header in Store(tmp_path / "store").headers}
    assert len(kept) == 1 and not name.startswith(tuple(kept))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    main(["simulate", str(folder / "in"), "--subjects", "4", "--slices", "2", "--matrix", "48", "--coils", "4"])
    return folder / "in"


def ids(store):
    return {header.scan_id for header in Store(store).headers}


def test_the_commands(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SSRECON_KEEP_NAMES", "1")
    main(["prepare", str(folder), str(tmp_path / "all")])
    first, *others = sorted({header.volume_id for header in Store(tmp_path / "all").headers})
    (tmp_path / "bad.lst").write_text(f"{first}\n")
    by = ["--leave-out", str(tmp_path / "bad.lst"), "--leave-out", f"{others[0]}/*-001"]
    gone = {name for name in ids(tmp_path / "all") if name.startswith(f"{first}/")} | {f"{others[0]}/slice-001"}
    assert main(["prepare", str(folder), str(tmp_path / "some"), *by]) == 0
    assert ids(tmp_path / "some") == ids(tmp_path / "all") - gone
    assert Store(tmp_path / "some").provenance(f"{others[0]}/slice-000")["leave_out"] == [f"{others[0]}/slice-001"]
    main(["audit", str(folder), "--out", str(tmp_path / "audit"), *by])
    content = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert set(content["left_out"]["scans"]) == gone and not {scan["scan"] for scan in content["scans"]} & gone
    assert "left out: 3 scans" in capsys.readouterr().out and "Left out" in (tmp_path / "audit" / "audit.html").read_text()
    assert main(["audit", str(folder), "--out", str(tmp_path / "none"), "--leave-out", "nobody"]) == 2
    assert "nothing that it fits" in capsys.readouterr().err


def test_the_commands_leave_out_a_file_that_cannot_be_read(folder, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    shutil.copy(min(folder.glob("*.h5")), tmp_path / "in")
    (tmp_path / "in" / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    by = ["--leave-out", "broken.h5"]
    assert main(["prepare", str(tmp_path / "in"), str(tmp_path / "store"), *by]) == 0
    assert len(Store(tmp_path / "store")) == 2 and not Store(tmp_path / "store").skipped
    main(["audit", str(tmp_path / "in"), "--out", str(tmp_path / "audit"), *by])
    assert "0 files not read" in capsys.readouterr().out


RECIPE = """
from ssrecon import Comparison, Recipe, networks, objectives, partition
from ssrecon.archive.splits import BySubject
from ssrecon.recipe import Training
from ssrecon.sampling import RandomColumns
from ssrecon.store.data import Data
recipe = Recipe(
    data=Data(source="{source}", pattern=RandomColumns(2, 16), split=BySubject(validation=1, test=1)),
    network=networks.Unrolled(networks.ResNet(blocks=1, channels=4), unrolls=1, cg_iterations=2),
    objective=objectives.SSDU(partition.Uniform(loss_fraction=0.4)),
    training=Training(steps=1, validate_every=1))
comparison = Comparison(title="t", arms={{"network": recipe}}, baselines={{}})
"""


def test_a_run(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SSRECON_KEEP_NAMES", "1")
    (tmp_path / "mini.py").write_text(RECIPE.format(source=folder))
    by = ["--leave-out", "*/slice-001"]
    main(["run", str(tmp_path / "mini.py"), "--out", str(tmp_path / "run"), "--device", "cpu", *by])
    assert {name.rpartition("/")[2] for name in ids(tmp_path / "run" / "store")} == {"slice-000"}
    rows = csv.DictReader((tmp_path / "run" / "metrics.csv").read_text().splitlines())
    assert {row["scan"] for row in rows} <= {"", *ids(tmp_path / "run" / "store")}
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert about["recipe"]["arms"]["network"]["data"]["leave_out"] == ["*/slice-001"]
    assert about["data"]["left_out"] == {"*/slice-001": "left out by request"}


def test_recipes_say_so_too():
    archive = PhantomArchive(subjects=3, slices=2, matrix=(48, 48), coils=4)
    chosen = Data(archive, leave_out=("*-000",)).chosen(archive.headers)
    assert len(chosen) == 3
    with pytest.raises(BadRecipe, match=r"data.leave_out: found \*, which fits all 6 scans"):
        Data(archive, leave_out=("*",)).chosen(archive.headers)
    with pytest.raises(BadRecipe, match="data.contrasts: found none of T9"):
        Data(archive, leave_out=("*-000",), contrasts=("T9",)).chosen(archive.headers)
