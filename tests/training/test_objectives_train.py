"""Every objective trains: the same recipe but for one field, through the loop that never asks which it is."""

import csv
from dataclasses import replace

import pytest
import torch

from ssrecon.archive.splits import BySubject
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.core.scan import Prepared
from ssrecon.objectives import JSSL, EquivariantImaging, KWeighted, MultiOperatorImaging, Objective, RobustSSDU
from ssrecon.reconstruction.loaded_network import load_checkpoint
from ssrecon.store.store import Store
from ssrecon.store.volume_file import write_volume
from ssrecon.training.preflight import preflight
from ssrecon.training.trainer import Trainer
from tests.contracts.classes import subclasses
from tests.scans import column_mask, full_kspace, make_reference, make_scan
from tests.training.small import RECIPE, assign, recipe

OBJECTIVES = subclasses("ssrecon.objectives", Objective)


def write(folder, subjects, referenced=lambda subject: True, masks=4, noise=lambda subject: 0.01):
    """Two repetitions a scan, and lattices whose offset differs from scan to scan."""
    for subject in range(subjects):
        scan = make_scan(
            (24, 24),
            frames=2,
            noise_std=noise(subject),
            seed=subject,
            scan_id=f"subject{subject}/slice-000",
            mask=column_mask((24, 24), frames=2, offset=subject % masks),
        )
        reference = make_reference(scan, full_kspace((24, 24), 4, 2, 1, 0.01, subject)) if referenced(subject) else None
        write_volume(folder, [Prepared(scan, reference)], {"kind": "simulated"})
    return Store(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write(tmp_path_factory.mktemp("store"), 6)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_trains_and_reconstructs_from_its_checkpoint(store, tmp_path, kind):
    arm = replace(recipe(steps=3, validate_every=3), objective=kind())
    trained = Trainer(arm, store, assign(store), tmp_path).run()
    assert trained.updates == 3
    history = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    assert [row["step"] for row in history] == ["0", "3"] and all(float(row["gamma"]) > 0 for row in history)
    model = load_checkpoint(trained.last, trust={"tests.training.small"})
    scan = store.load(assign(store).test[0]).scan
    assert type(model.objective) is kind and torch.isfinite(model(scan).image.abs()).all()


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_what_an_objective_cannot_do_without_is_known_before_it_trains(store, tmp_path, kind):
    """The noise level of some training scans is unknown, and none has a reference: refused, or trained on to the end."""
    wants = kind.needs_reference or kind.takes_reference
    odd = write(tmp_path / "store", 6, referenced=lambda subject: False, noise=lambda subject: 0.01 * (subject % 2))
    arm, split = replace(recipe(steps=1, validate_every=1), objective=kind()), BySubject(validation=1, test=1).assign(odd.headers)
    assert any(not odd.noise_known(scan_id) for scan_id in split.train)
    if not wants and not kind().needs_noise_level:
        assert Trainer(arm, odd, split, tmp_path / "out").run().updates == 1
        return
    message = (
        "no fully sampled reference in 4 of 4" if wants else r"an unknown noise level in \d of 4 training scans; expected a noise scan"
    )
    with pytest.raises(BadInput, match=message):
        Trainer(arm, odd, split, tmp_path / "out")


def test_an_objective_is_fitted_to_the_scans_it_trains_on(store, tmp_path):
    trainer = Trainer(replace(RECIPE, objective=KWeighted()), store, assign(store), tmp_path)
    (density,) = trainer.objective.sampling.densities.values()
    assert len(density.masks) == 2 * len(assign(store).train) and trainer.recipe.objective.sampling is None
    one = write(tmp_path / "one", 4, masks=1)
    # Two frames, two offsets: half of the lattice is in no scan, and that is said before anything is trained.
    lines = preflight(Trainer(replace(RECIPE, objective=RobustSSDU()), one, assign(one), tmp_path)).lines()
    assert any("of the locations of 24x24 are in none of" in line for line in lines)


def test_moi_is_refused_before_it_trains(tmp_path):
    for subject in range(4):
        write_volume(
            tmp_path / "store", [Prepared(make_scan((24, 24), seed=subject, scan_id=f"s{subject}/slice-000"))], {"kind": "simulated"}
        )
    store = Store(tmp_path / "store")
    with pytest.raises(BadRecipe, match="MultiOperatorImaging: found one sampling mask in all scans of 24x24"):
        Trainer(replace(RECIPE, objective=MultiOperatorImaging()), store, assign(store), tmp_path)


def test_references_are_handed_to_joint_training_alone(tmp_path):
    """A few references, many scans without: JSSL gets those there are, in batches of their own; others never see one."""
    store = write(tmp_path / "store", 8, referenced=lambda subject: subject < 4)
    split = BySubject(validation=1, test=1).assign(store.headers)
    given: dict[str, bool] = {}

    for base in (JSSL, EquivariantImaging):

        class Recorded(base):
            def loss(self, network, scan, reference, draws):
                given.update(dict.fromkeys(scan.ids, reference is not None))
                return super().loss(network, scan, reference, draws)

        given.clear()
        Trainer(replace(recipe(steps=8, validate_every=8), objective=Recorded()), store, split, tmp_path / base.__name__).run()
        wanted = {scan_id: base is JSSL and store.has_reference(scan_id) for scan_id in split.train}
        assert given == wanted and (base is not JSSL or len(set(wanted.values())) == 2)
