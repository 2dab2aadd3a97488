"""The genome store's encoding of bases: two bits for A, C, G and T, run lengths for N and the soft mask.

Four bases to a byte, A, C, G, T = 0..3, the first base in the two highest bits (as in UCSC's .2bit).
"""

import numpy as np
import numpy.typing as npt

from hdna.genome import alphabet

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Lengths = npt.NDArray[np.uint32]

BASES_PER_BYTE = 4
_MAX_RUN = 2**32 - 1


def _four_tokens_of_each_byte() -> npt.NDArray[np.uint32]:
    codes = (np.arange(256)[:, None] >> np.array([6, 4, 2, 0])) & 3
    return np.ascontiguousarray(codes.astype(np.uint8) + np.uint8(alphabet.A)).view(np.uint32)[:, 0]


_FOUR_TOKENS = _four_tokens_of_each_byte()


def two_bit(upper: Bytes) -> Bytes:
    """0..3 for the ASCII letters A, C, G, T; an arbitrary 0..3 for any other byte.

    Bits 1 and 2 of the letters are A 00, C 01, G 11, T 10: one exclusive-or puts them in order.
    """
    codes: Bytes = (upper >> np.uint8(1)) ^ (upper >> np.uint8(2))
    codes &= np.uint8(3)
    return codes


def pack(codes: Bytes) -> Bytes:
    """Pack codes 0..3, four to a byte; their number must be a multiple of 4."""
    word = codes.view("<u4")
    return ((word << 6) | (word >> 4) | (word >> 14) | (word >> 24)).astype(np.uint8)


def unpack(packed: Bytes) -> Bytes:
    """Tokens A..T, four per byte."""
    return _FOUR_TOKENS[packed].view(np.uint8)


class RunLengths:
    """Turns flags, fed piece by piece, into alternating run lengths: not set, set, not set, …

    A run too long for a uint32 continues after an empty run of the other kind.
    """

    def __init__(self) -> None:
        self._flag = False
        self._open = 0

    def feed(self, flags: Flags) -> Lengths:
        """The runs that ended within `flags`."""
        if flags.size == 0:
            return np.empty(0, np.uint32)
        changes = np.flatnonzero(flags[1:] != flags[:-1]) + 1
        first = [0] if bool(flags[0]) != self._flag else []
        borders = np.concatenate(([-self._open], first, changes)).astype(np.int64)
        self._open = int(flags.size - borders[-1])
        self._flag = bool(flags[-1])
        return _within_limit(np.diff(borders))

    def close(self) -> Lengths:
        """The last run."""
        return _within_limit(np.array([self._open], np.int64))


class JoinedRuns:
    """Joins alternating run lengths of consecutive stretches, each starting with "not set", into one table."""

    def __init__(self) -> None:
        self._flag = False
        self._open = 0

    def join(self, lengths: Lengths) -> Lengths:
        """The runs that ended within the next stretch; the same as `RunLengths` of all flags."""
        runs = lengths.astype(np.int64)
        begins_set = runs.size > 0 and runs[0] == 0
        if begins_set:
            runs = runs[1:]
        if runs.size == 0:
            return np.empty(0, np.uint32)
        if begins_set == self._flag:
            runs[0] += self._open
        else:
            runs = np.concatenate(([self._open], runs))
        self._open = int(runs[-1])
        if runs.size % 2 == 0:
            self._flag = not self._flag
        return _within_limit(runs[:-1])

    def close(self) -> Lengths:
        """The last run."""
        return _within_limit(np.array([self._open], np.int64))


def _within_limit(lengths: npt.NDArray[np.int64]) -> Lengths:
    if lengths.size == 0 or lengths.max() <= _MAX_RUN:
        return lengths.astype(np.uint32)
    split: list[int] = []
    for length in lengths.tolist():
        full_runs, rest = divmod(length, _MAX_RUN)
        split += [_MAX_RUN, 0] * full_runs + [rest]
    return np.array(split, np.uint32)


class Runs:
    """Flags of a whole assembly, looked up by position, from alternating run lengths."""

    def __init__(self, lengths: Lengths) -> None:
        self._ends = np.cumsum(lengths, dtype=np.int64)
        set_lengths = lengths.astype(np.int64)
        set_lengths[0::2] = 0
        self._set_before = np.concatenate(([0], np.cumsum(set_lengths)))

    @property
    def total(self) -> int:
        """Positions covered."""
        return int(self._ends[-1]) if self._ends.size else 0

    def flags(self, start: int, end: int) -> Flags:
        """Whether each position in [start, end) is set."""
        first, last = np.searchsorted(self._ends, [start, end], side="right")
        borders = np.concatenate(([start], np.minimum(self._ends[first:last], end), [end]))
        return np.repeat(np.arange(first, last + 1) % 2 == 1, np.diff(borders))

    def at(self, positions: npt.NDArray[np.int64]) -> Flags:
        """Whether each of these positions is set."""
        are_set: Flags = np.searchsorted(self._ends, positions, side="right") % 2 == 1
        return are_set

    def count(self, start: int, end: int) -> int:
        """How many positions in [start, end) are set."""
        return self._set_up_to(end) - self._set_up_to(start)

    def _set_up_to(self, position: int) -> int:
        run = int(np.searchsorted(self._ends, position, side="right"))
        began = int(self._ends[run - 1]) if run else 0
        return int(self._set_before[run]) + (position - began if run % 2 else 0)
