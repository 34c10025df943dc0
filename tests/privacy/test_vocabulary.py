"""The words of our own texts are a file of the package, which is as its source is."""

import subprocess
import sys
import zipfile
from pathlib import Path

from ssrecon.privacy.pseudonyms import own_vocabulary
from tests.privacy.vocabulary import FILE, PACKAGE, words_of_the_source


def test_the_list_is_that_of_the_source():
    listed, words = FILE.read_text(encoding="utf-8").split(), words_of_the_source()
    missing, over = sorted(set(words) - set(listed)), sorted(set(listed) - set(words))
    assert listed == words, f"run python -m tests.privacy.vocabulary: not listed {missing[:9]}, not in the source {over[:9]}"
    assert own_vocabulary().issuperset(words) and len(words) > 500


def test_sentences_are_known_where_there_is_no_source(tmp_path):
    """In a zip file of byte code the vocabulary could not be read from the source."""
    bundle = tmp_path / "bundle.zip"
    with zipfile.PyZipFile(bundle, "w") as zipped:
        for folder in (PACKAGE, PACKAGE / "core", PACKAGE / "privacy"):
            zipped.writepy(str(folder), str(Path("ssrecon") / folder.relative_to(PACKAGE)) if folder != PACKAGE else "")
        zipped.write(FILE, "ssrecon/privacy/own_words.txt")
    code = "import ssrecon.privacy.pseudonyms as p; print(p.__file__); print(p.own_words('found no imaging lines of Musterfrau'))"
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(bundle)}, capture_output=True, text=True)
    assert said.stdout.splitlines()[1:] == ["found no imaging lines of …"] and "bundle.zip" in said.stdout, said.stderr
