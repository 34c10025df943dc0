"""Splits by subject: what may not happen for any archive, and what a user counts on."""

import random
from dataclasses import replace
from hashlib import blake2b

import pytest

from ssrecon.archive.splits import ByList, BySubject, Fractions, HeldOutGroup, KFold, Sides, SubjectSplit
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.core.scan import Header
from ssrecon.privacy.pseudonyms import safe_name, safe_subject

NAMED = ("Jane", "John", "Joe")


def archive(subjects=30, seed=0, contrasts=("T1", "T2"), sites=("a", "b", "c")):
    """Headers of a mixed archive: one to three volumes a subject, two to four slices a volume."""
    chance = random.Random(seed)
    headers = []
    for person in range(subjects):
        site, field = chance.choice(sites), chance.choice((1.5, 3.0))
        for volume in range(chance.randint(1, 3)):
            name = f"scan{person}_{volume}"
            content = blake2b(f"{seed} {name}".encode(), digest_size=8).hexdigest()
            for z in range(chance.randint(2, 4)):
                headers.append(
                    Header(
                        scan_id=f"{name}/{z}",
                        volume_id=name,
                        subject=f"subject{person}",
                        contrast=chance.choice(contrasts) if volume == 0 else contrasts[0],
                        site=site,
                        field_strength=field,
                        acceleration=chance.choice((4.0, 8.0)),
                        content=content,
                    )
                )
    return headers


def sides(split, headers):
    """The subjects of each side."""
    owner = {header.scan_id: header.subject for header in headers}
    found = split.assign(headers)
    return [{owner[scan] for scan in ids} for ids in (found.train, found.validation, found.test)]


SPLITS = [
    BySubject(validation=3, test=5, seed=2),
    BySubject(validation=2, test=2, train=4),
    Fractions(),
    Fractions(validation=0.3, test=0.3, seed=7),
    KFold(fold=1, folds=4),
    KFold(fold=3, folds=None),
    HeldOutGroup(test=("a",)),
]


@pytest.mark.parametrize("split", SPLITS, ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_two_scans_of_one_subject_are_never_on_two_sides(split, seed):
    headers = archive(seed=seed)
    train, validation, test = sides(split, headers)
    assert train and validation and test
    assert not (train & validation or train & test or validation & test)
    # Nor is a scan of a subject left out while another is used.
    found = split.assign(headers)
    used = set(found.train + found.validation + found.test)
    assert used == {header.scan_id for header in headers if header.subject in train | validation | test}


def test_no_split_by_subject_can_cut_one_in_two():
    """Whatever a new kind of split divides, it is given subjects and answers with subjects: there is no scan to choose."""

    class Greedy(SubjectSplit):
        def divide(self, subjects):
            names = frozenset(subject.name for subject in subjects)
            return Sides(names, names, frozenset())

    with pytest.raises(BadRecipe, match="on one side"):
        Greedy().assign(archive())


def renamed(header):
    """What another path, another user's key and another order of the files make of a header."""

    def other(text):
        return "v-" + blake2b(text.encode(), key=b"another key", digest_size=8).hexdigest()

    return replace(
        header,
        scan_id=other(header.volume_id) + "/" + header.scan_id.rpartition("/")[2],
        volume_id=other(header.volume_id),
        subject=other(header.subject),
        contrast=other(header.contrast),
        site=other(header.site),
    )


@pytest.mark.parametrize("split", SPLITS[:-1], ids=str)
def test_the_same_archive_is_split_alike_on_any_machine(split):
    headers = archive()
    elsewhere = [renamed(header) for header in headers]
    random.Random(1).shuffle(elsewhere)
    back = {renamed(header).scan_id: header.scan_id for header in headers}
    here, there = split.assign(headers), split.assign(elsewhere)
    for name in ("train", "validation", "test"):
        assert set(getattr(here, name)) == {back[scan] for scan in getattr(there, name)}, name


def test_scans_are_ordered_by_their_content_and_not_by_their_names():
    """The same names with other samples are another archive."""
    headers = archive()
    other = [replace(header, content=blake2b(header.content.encode(), digest_size=8).hexdigest()) for header in headers]
    assert sides(Fractions(), headers) != sides(Fractions(), other)


def test_without_contents_names_order():
    headers = [replace(header, content="") for header in archive()]
    assert sides(BySubject(2, 2), headers) == sides(BySubject(2, 2), headers[::-1])


@pytest.mark.parametrize("split", [Fractions(validation=0.2, test=0.3), KFold(folds=5, validation=0.2)], ids=str)
def test_every_stratum_has_its_share_to_within_one(split):
    headers = archive(subjects=120)
    split = replace(split, strata=("field_strength", "contrast"))
    kinds = {}
    for header in headers:
        kinds.setdefault(header.subject, set()).add((header.field_strength, header.contrast))
    strata = {}
    for subject, kind in kinds.items():
        strata.setdefault((frozenset(f for f, _ in kind), frozenset(c for _, c in kind)), set()).add(subject)
    assert len(strata) >= 4
    _, _, test = sides(split, headers)
    fraction = len(test) / len(kinds)
    for members in strata.values():
        assert abs(len(members & test) - fraction * len(members)) < 1


def test_fractions_are_those_of_subjects():
    train, validation, test = sides(Fractions(validation=0.1, test=0.2), archive(subjects=50))
    assert (len(train), len(validation), len(test)) == (35, 5, 10)


@pytest.mark.parametrize("folds", [5, None])
def test_every_subject_is_tested_in_exactly_one_fold(folds):
    headers = archive(subjects=17)
    everyone = sorted({header.subject for header in headers})
    tested = [subject for fold in range(folds or 17) for subject in sides(KFold(fold, folds), headers)[2]]
    assert sorted(tested) == everyone
    if folds is None:
        assert len(sides(KFold(4, None), headers)[2]) == 1


def test_a_held_out_site_is_seen_in_no_training():
    headers = archive()
    headers.append(replace(headers[0], scan_id="moved/0", volume_id="moved", site="b"))  # one subject scanned at two sites
    train, validation, test = sides(HeldOutGroup(test=("b",)), headers)
    at_b = {header.subject for header in headers if header.site == "b"}
    assert test == at_b and headers[0].subject in test
    assert not at_b & (train | validation)


def test_a_group_that_is_not_there_names_those_that_are():
    with pytest.raises(BadRecipe, match="no site z.*a, b, c"):
        HeldOutGroup(test=("z",)).assign(archive())
    with pytest.raises(BadRecipe, match="no site to hold out.*a, b, c"):
        HeldOutGroup().assign(archive())


def test_lists(tmp_path):
    headers = archive(subjects=6)
    volumes = {header.subject: header.volume_id for header in headers}
    (tmp_path / "train.lst").write_text(f"# fold 1\n{volumes['subject0']}.h5\nsubject1\n\n{volumes['subject2']}  # slow\n")
    (tmp_path / "validation.lst").write_text("subject3\n")
    (tmp_path / "test.lst").write_text("subject4\n")
    split = ByList(*(str(tmp_path / name) for name in ("train.lst", "validation.lst", "test.lst")))
    assert sides(split, headers) == [{"subject0", "subject1", "subject2"}, {"subject3"}, {"subject4"}]


def test_lists_name_files_whose_names_became_pseudonyms(tmp_path):
    headers = [Header(scan_id=f"{safe_name(name)}/0", volume_id=safe_name(name), subject=safe_subject(f"s{name}")) for name in NAMED]
    for name, text in zip(("train", "validation", "test"), ("Jane.h5", "sJohn", "Joe"), strict=True):
        (tmp_path / f"{name}.lst").write_text(text)
    split = ByList(*(str(tmp_path / f"{name}.lst") for name in ("train", "validation", "test")))
    assert sides(split, headers) == [{headers[0].subject}, {headers[1].subject}, {headers[2].subject}]
    assert not any(name in str(headers) for name in NAMED)


def test_a_list_that_cuts_a_subject_in_two_is_refused(tmp_path):
    headers = [Header(scan_id=f"{name}/0", volume_id=name, subject="one") for name in ("first", "second")]
    for name, text in (("train", "first"), ("validation", ""), ("test", "second")):
        (tmp_path / f"{name}.lst").write_text(text)
    split = ByList(*(str(tmp_path / f"{name}.lst") for name in ("train", "validation", "test")))
    with pytest.raises(BadRecipe, match="subject one in .*train.lst and in .*test.lst"):
        split.assign(headers)


@pytest.mark.parametrize("text, message", [("subject0\nnobody\n", r"line 2.*'nobody'"), (None, "no readable list")])
def test_a_list_that_does_not_fit_is_named(tmp_path, text, message):
    if text is not None:
        (tmp_path / "train.lst").write_text(text)
    with pytest.raises(BadInput, match=rf"train\.lst.*{message}"):
        ByList(str(tmp_path / "train.lst")).assign(archive(subjects=4))


@pytest.mark.parametrize(
    "split, subjects, message",
    [
        (BySubject(2, 2), 3, "3 subjects"),
        (Fractions(), 2, "2 subjects"),
        (KFold(0, 8), 7, "7 subjects"),
        (KFold(7, None), 7, "0 to 6"),
        (HeldOutGroup(test=("a",)), 1, "at least 2"),
        (KFold(0, 3, validation=0.8), 3, "data.split.validation: found 0.8, which is all 2 subjects that do not test"),
    ],
)
def test_too_few_subjects_are_said_to_be(split, subjects, message):
    with pytest.raises(BadRecipe, match=message):
        split.assign(archive(subjects=subjects, sites=("a",)))


def test_a_held_out_group_leaves_somebody_to_train():
    headers = [Header(f"v{i}/0", f"v{i}", f"s{i}", site="a" if i else "b") for i in range(3)]
    with pytest.raises(BadRecipe, match="data.split.validation: found 0.8, which is all 2 subjects that do not test"):
        HeldOutGroup(test=("b",), validation=0.8).assign(headers)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Fractions(validation=0.6, test=0.4), "sum below 1"),
        (lambda: Fractions(strata=("age",)), "age"),
        (lambda: HeldOutGroup(group="subject"), "subject"),
        (lambda: KFold(folds=1), "folds"),
        (lambda: KFold(validation=2.0), "KFold.validation: found 2.0; expected a fraction below 1"),
        (lambda: HeldOutGroup(validation=1.0), "HeldOutGroup.validation: found 1.0; expected a fraction below 1"),
        (lambda: BySubject(validation=-1), "BySubject.validation: found -1; expected 0 or more"),
        (lambda: BySubject(test=-1), "BySubject.test: found -1; expected 0 or more"),
        (lambda: BySubject(train=0), "BySubject.train: found 0; expected 1 or more"),
    ],
)
def test_bad_settings_are_refused_when_they_are_made(make, message):
    with pytest.raises(BadRecipe, match=message):
        make()
