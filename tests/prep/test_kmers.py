"""The sampled k-mers: compared with the definition, written in strings; the same on both strands."""

import numpy as np
import numpy.typing as npt
import pytest
from support.homologs import random_letters, relative, reverse_complement

from hdna.genome import alphabet
from hdna_prep import kmers as kmers_module
from hdna_prep.kmers import kmers_of_pieces, sampled_kmers

K = 21
SAMPLED = 16
DIGITS = bytes.maketrans(b"ACGT", b"0123")


def number(word: bytes) -> int:
    """A word as a number of base 4."""
    return int(word.translate(DIGITS), 4)


def canonical(letters: bytes) -> dict[int, int]:
    """By position, the smaller of each k-mer and its reverse complement; none where a letter is not A, C, G or T."""
    upper = letters.upper()
    words = ((i, upper[i : i + K]) for i in range(len(letters) - K + 1))
    return {i: min(number(w), number(reverse_complement(w))) for i, w in words if not w.strip(b"ACGT")}


@pytest.fixture(scope="module")
def letters() -> bytes:
    """With N, an ambiguity code, soft-masked letters, runs of one base and a tandem repeat."""
    rng = np.random.default_rng(3)
    text = bytearray(random_letters(rng, 40_000))
    text[5_000:5_100] = b"N" * 100
    text[16_380], text[32_768], text[0] = ord("N"), ord("R"), ord("N")
    text[7_000:9_000] = bytes(text[7_000:9_000]).lower()
    text[12_000:12_200], text[20_000:21_500] = b"A" * 200, random_letters(rng, 150) * 10
    return bytes(text)


def test_each_is_the_smaller_of_both_strands_and_has_no_unknown_letter(letters: bytes) -> None:
    positions, kmers = sampled_kmers(alphabet.encode(letters), SAMPLED)
    truth = canonical(letters)
    assert positions.size > 1000
    assert dict(zip(positions.tolist(), kmers.tolist(), strict=True)).items() <= truth.items()


def test_all_occurrences_of_a_sampled_kmer_are_taken(letters: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether one is taken depends on the k-mer alone: not on its place, its block or its neighbours."""
    monkeypatch.setattr(kmers_module, "_BLOCK", 1000)
    text = letters + letters[3_000:30_000] + reverse_complement(letters)
    positions, kmers = sampled_kmers(alphabet.encode(text), SAMPLED)
    sampled = set(kmers.tolist())
    assert positions.tolist() == [i for i, kmer in canonical(text).items() if kmer in sampled]


def test_both_strands_have_the_same(letters: bytes) -> None:
    one, other = (sampled_kmers(alphabet.encode(text), SAMPLED)[1] for text in (letters, reverse_complement(letters)))
    assert one.tolist() == other.tolist()[::-1]


def test_the_sample_is_fair(letters: bytes) -> None:
    """Each of many k-mers with probability 1/SAMPLED, neighbours independently: a binomial's mean and its spread."""
    tokens = alphabet.encode(random_letters(np.random.default_rng(4), 2_000_000))
    counts = np.bincount(sampled_kmers(tokens, SAMPLED)[0] // 1000, minlength=2000)[:1999]
    mean, variance = 1000 / SAMPLED, 1000 / SAMPLED * (1 - 1 / SAMPLED)
    assert abs(counts.mean() - mean) < 5 * np.sqrt(variance / counts.size)
    assert 0.8 < counts.var() / variance < 1.2  # the ratio's own deviation is sqrt(2 / 1999) = 0.03


@pytest.mark.parametrize("length", [0, 1, 20, 21, 22, 1000, 1019, 1020, 1021, 1022])
def test_any_length_is_sampled_to_its_end(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmers_module, "_BLOCK", 1000)
    positions, kmers = sampled_kmers(alphabet.encode(random_letters(np.random.default_rng(5), length)), 1)
    assert positions.tolist() == list(range(max(0, length - K + 1)))
    assert kmers.size == positions.size


def test_a_piece_has_each_of_its_kmers_once(letters: bytes) -> None:
    pieces, kmers = kmers_of_pieces(alphabet.encode(letters + letters), 1000, SAMPLED)
    positions, all_kmers = sampled_kmers(alphabet.encode(letters + letters), SAMPLED)
    truth = sorted(set(zip((positions // 1000).tolist(), all_kmers.tolist(), strict=True)))
    assert list(zip(pieces.tolist(), kmers.tolist(), strict=True)) == truth


def test_the_share_in_common_tells_the_identity() -> None:
    rng = np.random.default_rng(6)
    text = random_letters(rng, 500_000)
    mine = sampled_kmers(alphabet.encode(text), SAMPLED)[1]
    for identity in (0.99, 0.95, 0.90):
        theirs = sampled_kmers(alphabet.encode(reverse_complement(relative(rng, text, identity))), SAMPLED)[1]
        shared = float(np.isin(mine, theirs).mean())
        # Five deviations of a binomial, as a share; k-mers are far enough apart to share few substitutions.
        assert abs(shared - identity**K) < 5 * np.sqrt(identity**K * (1 - identity**K) / mine.size)


@pytest.mark.parametrize("letter", [b"A", b"C", b"G", b"T"])
def test_a_run_of_one_letter_is_no_more_likely_than_others(letter: bytes) -> None:
    """Its word is 0, or nearly: a hash that multiplies would keep it, and every genome has such runs."""
    assert sampled_kmers(alphabet.encode(letter * 100), SAMPLED)[0].size == 0


def as_set(kmers: npt.NDArray[np.uint64]) -> set[int]:
    return set(kmers.tolist())


def test_unrelated_sequence_has_none_in_common() -> None:
    """Of 18,750 by 18,750 pairs, a 390th of one is expected to be equal: there are 4^21 / 2 / 16 to sample."""
    rng = np.random.default_rng(7)
    one, other = (sampled_kmers(alphabet.encode(random_letters(rng, 300_000)), SAMPLED)[1] for _ in range(2))
    assert not as_set(one) & as_set(other)
