"""No phantom serves two purposes, so that nothing is measured on what it was trained, fitted or chosen on."""

from itertools import combinations

from TuckerSegLib.volumes.phantoms import seeds

USES = {name: found for name, found in vars(seeds).items() if isinstance(found, range)}


def test_no_two_uses_share_a_phantom() -> None:
    assert len(USES) > 1
    shared = [pair for pair in combinations(USES, 2) if set(USES[pair[0]]) & set(USES[pair[1]])]
    assert not shared


def test_the_demonstration_shows_a_phantom_that_the_sample_model_never_saw() -> None:
    assert seeds.DEMONSTRATION in seeds.SAMPLE_TEST
