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

COMPLEMENT: npt.NDArray[np.uint8] = np.arange(256, dtype=np.uint8)
COMPLEMENT[[A, C, G, T]] = (T, G, C, A)

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
    """The other strand, read in its own direction; everything but A, C, G and T is its own complement."""
    return COMPLEMENT[tokens[::-1]]
