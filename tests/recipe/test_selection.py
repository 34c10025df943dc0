"""The selection rule of the headline, by its member or by its name."""

import json

import pytest

from ssrecon.core.description import rebuild
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.recipe import Comparison, Selection, override
from ssrecon.study.run_folder import RunFolder
from tests.training.small import RECIPE


def comparison(**fields):
    return Comparison("title", {"arm": RECIPE}, **fields)


def test_a_name_in_a_recipe_is_the_rule():
    named, ruled = comparison(headline="reference"), comparison(headline=Selection.REFERENCE)
    assert named.hash == ruled.hash != comparison().hash
    assert json.dumps(named.description) == json.dumps(ruled.description) and ruled.description["headline"] == "reference"
    assert override(comparison(), ["--headline", "reference"]).headline is Selection.REFERENCE
    assert rebuild(ruled.description, "recipe", {"tests.training.small"}).hash == ruled.hash


@pytest.mark.parametrize("wrong", ["last", "GAMMA", "none"])
def test_another_name_is_refused(wrong):
    with pytest.raises(BadRecipe, match=f"headline: found .*{wrong}.*expected 'gamma' or 'reference'"):
        comparison(headline=wrong)
    with pytest.raises(BadRecipe, match="headline"):
        override(comparison(), ["--headline", wrong])


def test_run_folders_say_it_as_they_always_have(tmp_path):
    for written, found in (({}, Selection.GAMMA), ({"headline_selection": "reference"}, Selection.REFERENCE)):
        (tmp_path / "run.json").write_text(json.dumps(written))
        assert RunFolder.open(tmp_path).headline_selection is found
    (tmp_path / "run.json").write_text('{"headline_selection": "chance"}')
    with pytest.raises(BadInput, match="run.json: found headline_selection 'chance'; expected gamma or reference"):
        _ = RunFolder.open(tmp_path).headline_selection
