"""Token ids of the reference vocabulary, with encoding, decoding and complements.

Ids are those of HyenaDNA's character tokenizer: seven specials, then A, C, G, T, N. Lower case is read as upper case
(the reference reads it as [UNK]); its positions are kept separately, as the soft mask.
"""

import numpy as np
import numpy.typing as npt

CLS, SEP, BOS, MASK, PAD, RESERVED, UNK, A, C, G, T, N = range(12)

VOCABULARY = ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]", "A", "C", "G", "T", "N")
EMBEDDING_ROWS = 16
"""Rows of the embedding: the vocabulary padded to a multiple of 8, as published."""

AMBIGUITY_CODES = b"RYSWKMBDHV"
"""IUPAC codes other than A, C, G, T and N: kept in the genome store, read as [UNK]."""

_tokens = np.zeros(256, dtype=np.uint8)
for _letters, _token in ((b"Aa", A), (b"Cc", C), (b"Gg", G), (b"TtUu", T), (b"Nn", N)):
    _tokens[list(_letters)] = _token
_tokens[list(AMBIGUITY_CODES + AMBIGUITY_CODES.lower())] = UNK
TOKEN_OF_BYTE: npt.NDArray[np.uint8] = _tokens
"""Token of each ASCII byte; 0 for bytes that are not nucleotide codes."""

COMPLEMENT_LETTERS = bytes.maketrans(b"ACGTURYSWKMBDHVNacgturyswkmbdhvn", b"TGCAAYRSWMKVHDBNtgcaayrswmkvhdbn")
"""Translation table from ASCII nucleotide codes to the other strand's, preserving case (U pairs with A)."""

_TOKEN_BYTES = np.frombuffer(b"......NACGTN" + b"." * 244, dtype=np.uint8)


def encode(sequence: bytes) -> npt.NDArray[np.uint8]:
    """Tokens of ASCII nucleotides, one per byte; 0 for bytes that are not nucleotide codes."""
    return TOKEN_OF_BYTE[np.frombuffer(sequence, dtype=np.uint8)]


def decode(tokens: npt.NDArray[np.uint8]) -> bytes:
    """Upper-case ASCII of tokens; [UNK] becomes N, other specials a dot."""
    return _TOKEN_BYTES[tokens].tobytes()


def reverse_complement(tokens: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The other strand, read in its own direction: sequences (..., L) are reversed along the last axis.

    A, C, G and T are consecutive, so the complement of base i is base 3 - i, which for two bits is i ^ 3. Every other
    token is its own complement. Array arithmetic does 2 G tokens/s on a core, a 256-byte lookup table 0.7.
    """
    base = tokens[..., ::-1] - np.uint8(A)
    flip = (base <= T - A).view(np.uint8)
    flip *= np.uint8(T - A)
    base ^= flip
    base += np.uint8(A)
    return base
