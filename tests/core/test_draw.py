from ssrecon.core.draw import Draw


def first(draw, purpose="partition", scan_id="a"):
    return draw.generator(purpose, scan_id).integers(2**63)


def test_a_pure_function_of_seed_epoch_purpose_and_scan():
    assert first(Draw(1, 2)) == first(Draw(1).at(2))
    different = [Draw(1, 2), Draw(1, 3), Draw(2, 2), Draw(12, 2), Draw(1, 22)]
    values = [first(draw) for draw in different]
    values += [first(Draw(1, 2), "gamma"), first(Draw(1, 2), "partition", "b"), first(Draw(1, 2), "partitiona", "")]
    assert len(set(values)) == len(values)


def test_the_value_is_the_same_on_every_machine():
    """Frozen: a change of the key would silently change every split of every published run."""
    assert first(Draw(0)) == FROZEN


def test_ten_thousand_scans_have_distinct_seeds():
    assert len({first(Draw(0), scan_id=f"file{n:05d}.h5/slice-{n % 40:03d}") for n in range(10_000)}) == 10_000


FROZEN = 8866614082315087562
