"""Token ids of the reference vocabulary, and what biology asks of them.

Ids are those of HyenaDNA's character tokenizer: seven specials, then A, C, G, T, N. Lower case reads as upper case
(the reference reads it as [UNK]); where it was is kept apart, as the soft mask.
"""

import numpy as np
import numpy.typing as npt

CLS, SEP, BOS, MASK, PAD, RESERVED, UNK, A, C, G, T, N = range(12)

VOCABULARY = ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]", "A", "C", "G", "T", "N")
EMBEDDING_ROWS = 16
"""Rows of the embedding: the vocabulary padded to a multiple of 8, as published."""

AMBIGUITY_CODES = b"RYSWKMBDHV"
"""IUPAC codes other than A, C, G, T and N. They are kept in the genome store and read as [UNK]."""

_tokens = np.zeros(256, dtype=np.uint8)
for _letters, _token in ((b"Aa", A), (b"Cc", C), (b"Gg", G), (b"TtUu", T), (b"Nn", N)):
    _tokens[list(_letters)] = _token
_tokens[list(AMBIGUITY_CODES + AMBIGUITY_CODES.lower())] = UNK
TOKEN_OF_BYTE: npt.NDArray[np.uint8] = _tokens
"""Token of each ASCII byte; 0 where the byte is no nucleotide code."""

COMPLEMENT_LETTERS = bytes.maketrans(b"ACGTURYSWKMBDHVNacgturyswkmbdhvn", b"TGCAAYRSWMKVHDBNtgcaayrswmkvhdbn")
"""Translation table of ASCII nucleotide codes to those of the other strand, case kept (U pairs with A)."""

_TOKEN_BYTES = np.frombuffer(b"......NACGTN" + b"." * 244, dtype=np.uint8)


def encode(sequence: bytes) -> npt.NDArray[np.uint8]:
    """Tokens of ASCII nucleotides, one per byte; 0 where a byte is no nucleotide code."""
    return TOKEN_OF_BYTE[np.frombuffer(sequence, dtype=np.uint8)]


def decode(tokens: npt.NDArray[np.uint8]) -> bytes:
    """Upper-case ASCII of tokens; [UNK] gives N, other specials a dot."""
    return _TOKEN_BYTES[tokens].tobytes()


def reverse_complement(tokens: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The other strand, read in its own direction: sequences (..., L) are reversed along the last axis.

    A, C, G and T lie in this order, so that the complement of base i is base 3 - i, which for two bits is i ^ 3. Every
    other token is its own complement. Arithmetic on whole arrays does 2 G tokens/s on a core, a table of 256 bytes 0.7.
    """
    base = tokens[..., ::-1] - np.uint8(A)
    flip = (base <= T - A).view(np.uint8)
    flip *= np.uint8(T - A)
    base ^= flip
    base += np.uint8(A)
    return base
