"""Made-up sequence with relatives of known identity, as letters."""

import numpy as np
import numpy.typing as npt

Letters = npt.NDArray[np.uint8]
_BASES = np.frombuffer(b"ACGT", np.uint8)
_COMPLEMENT = bytes.maketrans(b"ACGTacgtNn", b"TGCAtgcaNn")


def random_letters(rng: np.random.Generator, bases: int) -> bytes:
    """A, C, G and T alike."""
    return rng.choice(_BASES, bases).tobytes()


def relative(rng: np.random.Generator, letters: bytes, identity: float, indels: float = 0.0) -> bytes:
    """`letters` with substitutions down to that identity, and a share of `indels`, half insertions, of one base."""
    codes = np.searchsorted(_BASES, np.frombuffer(letters.upper(), np.uint8))
    changed = rng.random(codes.size) < 1 - identity
    codes = np.where(changed, (codes + rng.integers(1, 4, codes.size)) % 4, codes)
    what = rng.random(codes.size)
    copies = np.where(what < indels / 2, 0, np.where(what < indels, 2, 1))
    return _BASES[np.repeat(codes, copies)].tobytes()


def reverse_complement(letters: bytes) -> bytes:
    """The other strand."""
    return letters.translate(_COMPLEMENT)[::-1]


def fasta(contigs: dict[str, bytes]) -> bytes:
    """A FASTA file."""
    return b"".join(b">" + name.encode() + b"\n" + letters + b"\n" for name, letters in contigs.items())
