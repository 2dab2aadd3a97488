"""The alphabet against the reference's vocabulary and against biology."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdna.genome import Interval, alphabet

IUPAC = "ACGTURYSWKMBDHVN"
MEANS = {
    **{"A": "A", "C": "C", "G": "G", "T": "T", "U": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT"},
    **{"M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT"},
}


def test_ids_are_the_published_ones() -> None:
    assert alphabet.encode(b"ACGTNacgtnUuRy").tolist() == [7, 8, 9, 10, 11, 7, 8, 9, 10, 11, 10, 10, 6, 6]
    assert alphabet.VOCABULARY[alphabet.UNK] == "[UNK]"
    assert len(alphabet.VOCABULARY) == 12


def test_nucleotide_codes_alone_have_tokens() -> None:
    valid = set((IUPAC + IUPAC.lower()).encode())
    assert {byte for byte in range(256) if alphabet.TOKEN_OF_BYTE[byte]} == valid


@pytest.mark.parametrize("letter", IUPAC)
def test_complement_of_each_letter_is_the_complement_of_what_it_means(letter: str) -> None:
    pairs = {"A": "T", "C": "G", "G": "C", "T": "A"}
    other = letter.encode().translate(alphabet.COMPLEMENT_LETTERS).decode()
    assert set(MEANS[other]) == {pairs[base] for base in MEANS[letter]}
    assert letter.lower().encode().translate(alphabet.COMPLEMENT_LETTERS).decode() == other.lower()


@given(st.text("ACGTN", max_size=50))
def test_reverse_complement_twice_is_the_same(text: str) -> None:
    tokens = alphabet.encode(text.encode())
    assert np.array_equal(alphabet.reverse_complement(alphabet.reverse_complement(tokens)), tokens)
    assert alphabet.decode(tokens).decode() == text


def test_reverse_complement_pairs_acgt_and_reverses_every_token() -> None:
    """GAATTC, EcoRI's site, is a palindrome; the start codon ATG reads CAT on the other strand."""
    assert alphabet.decode(alphabet.reverse_complement(alphabet.encode(b"GAATTC"))) == b"GAATTC"
    assert alphabet.decode(alphabet.reverse_complement(alphabet.encode(b"ATGN"))) == b"NCAT"
    every = np.arange(256, dtype=np.uint8)
    pairs = {alphabet.A: alphabet.T, alphabet.C: alphabet.G, alphabet.G: alphabet.C, alphabet.T: alphabet.A}
    assert alphabet.reverse_complement(every[None]).tolist() == [[pairs.get(i, i) for i in range(255, -1, -1)]]


def test_interval_is_half_open_and_checked() -> None:
    assert len(Interval("chr1", 10, 20)) == 10
    assert len(Interval("chr1", 10, 10)) == 0
    for bad in ((5, 4, "+"), (-1, 4, "+"), (1, 4, "*")):
        with pytest.raises(ValueError, match="chr1"):
            Interval("chr1", *bad)
