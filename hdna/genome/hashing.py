"""A hash of integers that is the same on every machine, Python and numpy version.

Every "random" choice about data (permutations, strands, splits) comes from it, so that anyone can recompute the order
of a run. The mixer is SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
"""

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def hash64(*parts: int | npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
    """64 well-mixed bits of the parts, in order; arrays broadcast. Negative numbers are taken modulo 2^64."""
    state: npt.NDArray[np.uint64] = np.zeros(1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            word = np.asarray(part if isinstance(part, np.ndarray) else part % 2**64).astype(np.uint64)
            state = _mix(state + _GOLDEN + word)
    return state


def hash_int(*parts: int) -> int:
    """`hash64` of plain integers, as an int."""
    return int(hash64(*parts)[0])


def permutation(count: int, *key: int) -> npt.NDArray[np.int64]:
    """`range(count)` ordered by hash: a permutation that depends on `key` alone."""
    return np.argsort(hash64(*key, np.arange(count)), kind="stable")


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))
