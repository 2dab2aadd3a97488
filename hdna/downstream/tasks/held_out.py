"""A part of the train rows held out where the user gives none: whole chromosomes where they are known, else by a hash.

Which rows are held out depends on nothing but their sequences, or their chromosomes' names: the same rows in another
order, or more of them, are divided in the same way. A sequence and its reverse complement fall together.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hdna.genome import alphabet
from hdna.genome.packing import Bytes

Flags = npt.NDArray[np.bool_]


def held_out(tokens: Sequence[Bytes], chromosomes: Sequence[str] | None, share: float, purpose: str) -> Flags:
    """(N,) about `share` of the rows; all of them of other chromosomes than the rest where there are three or more.

    `purpose` makes the choice for valid and that for test independent.
    """
    if chromosomes is not None and len(set(chromosomes)) > 2:
        chosen = _chosen_chromosomes(Counter(chromosomes), share, purpose)
        return np.array([name in chosen for name in chromosomes])
    return np.array([_fraction(purpose.encode() + either_strand(own)) < share for own in tokens])


def either_strand(tokens: Bytes) -> bytes:
    """The same for a sequence and its reverse complement, and for no other sequence."""
    return min(tokens.tobytes(), alphabet.reverse_complement(tokens).tobytes())


def _chosen_chromosomes(rows: Counter[str], share: float, purpose: str) -> set[str]:
    """Chromosomes in the order of their hashes, until they have the share; the last may bring too many rows."""
    chosen, taken = set[str](), 0
    for name in sorted(rows, key=lambda name: (_fraction(f"{purpose} {name}".encode()), name)):
        if taken and taken + rows[name] > 2 * share * rows.total():
            continue
        if taken >= share * rows.total() or len(chosen) == len(rows) - 1:
            break
        chosen.add(name)
        taken += rows[name]
    return chosen


def _fraction(data: bytes) -> float:
    """A number in [0, 1) that is the same on every machine."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest()) / 2**64
