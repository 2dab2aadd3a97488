"""The simple models: closed forms, and a count by hand."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from support.spelled_windows import Windows

from hdna.evaluate.markov import ORDER, Baselines, baselines, bases_read
from hdna.evaluate.scored_sets import ScoredSet


def count(train: Windows, valid: Windows, max_valid_bases: int = 10**9) -> Baselines | None:
    sets = (ScoredSet("all", np.arange(len(own)), 10**9) for own in (train, valid))
    train_set, valid_set = sets
    return baselines(train, valid, [train_set], [replace(valid_set, bases=max_valid_bases)])


def test_each_set_is_scored_with_the_counts_of_all() -> None:
    train, valid = Windows("ACGTACGTTACGT", "GGGGGGGCCC"), Windows("ACGTACGTT", "TTTTTTTACG", "GGGGGGCC")
    one, two = ScoredSet("one", np.array([0, 1]), 10**9), ScoredSet("two", np.array([2]), 10**9)
    everything = ScoredSet("train", np.arange(2), 10**9)
    found = baselines(train, valid, [everything], [one, two])
    assert found is not None
    for own, windows in ((one, ["ACGTACGTT", "TTTTTTTACG"]), (two, ["GGGGGGCC"])):
        bars = found.sets[own.name]
        wanted = by_hand(["ACGTACGTTACGT", "GGGGGGGCCC"], windows)
        assert (bars.entropy, bars.unigram, bars.markov) == pytest.approx(wanted, rel=1e-12)
    assert found.markov == pytest.approx((9 * found.sets["one"].markov + 3 * found.sets["two"].markov) / 12)  # words


def chain(bases: int, stay: float, seed: int) -> str:
    """An order-1 chain: the same base again with probability `stay`, else one of the others, all alike."""
    random = np.random.default_rng(seed)
    moves = np.where(random.random(bases) < stay, 0, random.integers(1, 4, bases))
    return "".join(np.array(list("ACGT"))[np.cumsum(moves) % 4])


def test_order_1_chain_reaches_its_entropy_rate() -> None:
    """Its rate is the entropy of one move; composition is uniform, so it cannot help."""
    stay = 0.55
    rate = -stay * math.log2(stay) - (1 - stay) * math.log2((1 - stay) / 3)
    found = count(Windows(chain(400_000, stay, 1)), Windows(chain(200_000, stay, 2)))
    assert found is not None
    assert found.markov == pytest.approx(rate, abs=0.01)
    assert found.unigram == pytest.approx(2.0, abs=1e-3)
    assert found.entropy == pytest.approx(2.0, abs=1e-3)


def test_uniform_bases_score_two() -> None:
    found = count(Windows(chain(400_000, 0.25, 3)), Windows(chain(100_000, 0.25, 4)))
    assert found is not None
    assert [found.entropy, found.unigram] == pytest.approx([2.0, 2.0], abs=1e-3)
    # 1,024 contexts of 3 free numbers each, learned from 400,000 bases: the excess is about 1 / (2 ln 2) of a bit per
    # number and base, 0.006.
    assert 2.0 < found.markov < 2.015


def by_hand(train: list[str], valid: list[str]) -> tuple[float, float, float]:
    """Entropy, unigram and order-5 bits by counting words in strings."""

    def words(windows: list[str]) -> Counter[str]:
        found = (window[i : i + ORDER + 1] for window in windows for i in range(len(window) - ORDER))
        return Counter(word for word in found if "N" not in word)

    seen, scored = words(train), words(valid)
    total = sum(scored.values())
    contexts = 4**ORDER
    last_seen, last_scored = Counter[str](), Counter[str]()
    for word, times in seen.items():
        last_seen[word[-1]] += times
    for word, times in scored.items():
        last_scored[word[-1]] += times
    entropy = -sum(n / total * math.log2(n / total) for n in last_scored.values())
    everything = sum(last_seen.values()) + 4 * contexts
    unigram = -sum(n / total * math.log2((last_seen[b] + contexts) / everything) for b, n in last_scored.items())
    markov = 0.0
    for word, times in scored.items():
        context = sum(seen[word[:-1] + base] + 1 for base in "ACGT")
        markov -= times / total * math.log2((seen[word] + 1) / context)
    return entropy, unigram, markov


def test_counts_are_those_of_a_count_by_hand() -> None:
    """Words run neither over an N nor from one window into the next; a window shorter than a word has none."""
    train = ["ACGTACGTTACGTNACGTACGATTAC", "GGGGGGGGCCC", "ACG"]
    valid = ["ACGTACGTTTNNACGTACGATGGGGGGG", "TTTTTTTACGTAC"]
    found = count(Windows(*train), Windows(*valid))
    assert found is not None
    assert (found.entropy, found.unigram, found.markov) == pytest.approx(by_hand(train, valid), rel=1e-12)
    assert found.train_bases == (13 - ORDER) + (12 - ORDER) + (11 - ORDER)
    assert found.valid_bases == (10 - ORDER) + (16 - ORDER) + (13 - ORDER)


def test_scoring_stops_at_the_limit() -> None:
    valid = ["ACGTACGTAC", "ACGTACGTAC", "TTTTTTTTTT"]
    found = count(Windows("ACGTACGTACGT"), Windows(*valid), max_valid_bases=17)
    assert found is not None
    assert found.valid_bases == (10 - ORDER) + (7 - ORDER)
    assert found.markov == pytest.approx(by_hand(["ACGTACGTACGT"], [valid[0], valid[1][:7]])[2], rel=1e-12)


@pytest.mark.parametrize(
    ("train", "valid"),
    [(Windows(), Windows("ACGTACGT")), (Windows("ACGTACGT"), Windows()), (Windows("A"), Windows("NNNNNNNN"))],
)
def test_nothing_to_count_gives_no_bars(train: Windows, valid: Windows) -> None:
    assert count(train, valid) is None


def test_every_base_that_is_read_is_told() -> None:
    """Of a set's windows up to its limit: the bases of an N, and those before the first whole word, too."""
    train, valid = Windows("ACGTACGTACGT", "ACGNACGTAC"), Windows("ACGTACGTAC", "ACGTACGTAC", "TTTTTTTTTT")
    trained, scored = ScoredSet("train", np.arange(2), 10**9), ScoredSet("valid", np.arange(3), 17)
    told: list[float] = []
    assert baselines(train, valid, [trained], [scored], told.append)
    assert told == [12, 10, 10, 7]
    assert bases_read(train, [trained]) + bases_read(valid, [scored]) == sum(told)
