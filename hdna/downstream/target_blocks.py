"""Which bases are scored at every context length, and what the model may read for each of them.

A block is T bases that follow one another. At context c it is scored in stretches of t = min(T, c // 2) bases, each at
the end of a crop of c positions, which is all that the model is given: every base is predicted from c - t + 1 to c
bases, at least half of the context. Blocks of one window do not overlap; what is read before them does.

    longest  |<-------------- L ------------->|     one crop for the whole block, T <= L / 2
    block                    |<----- T ------>|
    c = T            |<----- c ------>|             one crop for its first half, t = T / 2,
                             |<----- c ------>|     and one for its second
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hdna.data.order import Crops
from hdna.errors import InputError
from hdna.genome.set_windows import IntArray

SHORTEST = 1024
"""Context, unless the longest is below eight times that."""
_FEWEST_BLOCKS = 8
"""That each set must have at the longest context, so that an interval means something."""
_BLOCKS = 32
"""That `max_bases` should give each set at least: longer blocks cost less for each base, but are fewer places."""
_SHORTEST_LONGEST = 16


@dataclass(frozen=True)
class TargetBlocks:
    """R blocks of one split."""

    contexts: tuple[int, ...]
    """Context lengths, ascending."""
    block_bases: int
    windows_R: IntArray
    """The window of each block."""
    offsets_R: IntArray
    """Where the crop of the longest context begins in it."""

    @property
    def positions(self) -> int:
        """That the model runs over, at all contexts together."""
        return sum(self.stretches(c) * c for c in self.contexts) * len(self.windows_R)

    def stretches(self, context: int) -> int:
        """Of each block at that context."""
        return self.block_bases // self.stretch_bases(context)

    def stretch_bases(self, context: int) -> int:
        """Bases that each crop of that context is scored on, its last ones."""
        return min(self.block_bases, context // 2)

    def crops(self, context: int) -> tuple[Crops, IntArray]:
        """The crops of `context` positions (and the base after them), and the block that each is scored for."""
        stretches, end = self.stretches(context), self.contexts[-1] - self.block_bases
        ends = end + self.stretch_bases(context) * np.arange(1, stretches + 1)
        offsets = (self.offsets_R[:, None] + ends - context).reshape(-1)
        blocks = np.repeat(np.arange(len(self.windows_R)), stretches)
        return Crops(self.windows_R[blocks], offsets, np.zeros(len(blocks), np.bool_)), blocks


def context_lengths(longest: int) -> tuple[int, ...]:
    """From SHORTEST, or an eighth of the longest's power of two, doubling; then the longest, if a quarter longer."""
    power = _power_of_two(longest)
    first = min(SHORTEST, max(2, power // 8))
    doublings = tuple(1 << exponent for exponent in range(first.bit_length() - 1, power.bit_length()))
    return (*doublings, longest) if longest >= 1.25 * power else doublings


def choose_blocks(lengths: Sequence[IntArray], longest: int, max_bases: int) -> list[TargetBlocks]:
    """Blocks spread evenly over the windows of each set, up to `max_bases` bases of each.

    Args:
        lengths: bases of the windows of each set.
        longest: the longest context wanted; a shorter one is taken when some set has not enough windows for it.
        max_bases: at least one block is scored.

    Raises InputError when no context is short enough.

    """
    limit = longest
    while limit >= _SHORTEST_LONGEST:
        contexts = context_lengths(limit)
        block = _power_of_two(min(contexts[-1] // 2, max(contexts[0] // 2, max_bases // _BLOCKS)))
        fitting = [np.maximum(bases - 1 - (contexts[-1] - block), 0) // block for bases in lengths]
        if all(blocks.sum() >= _FEWEST_BLOCKS for blocks in fitting):
            return [_spread(blocks, contexts, block, max_bases) for blocks in fitting]
        limit = contexts[-2]
    raise InputError(
        f"context of {longest:,} bases at most, windows of {max(int(bases.max()) for bases in lengths):,}: too short: "
        f"want {_SHORTEST_LONGEST}, and windows for {_FEWEST_BLOCKS} blocks of bases to score in each set"
    )


def _spread(blocks_W: IntArray, contexts: tuple[int, ...], block: int, max_bases: int) -> TargetBlocks:
    """As many of the blocks that each window has as `max_bases` allows, evenly spaced."""
    total = int(blocks_W.sum())
    wanted = min(total, max(1, max_bases // block))
    chosen = np.arange(wanted) * total // wanted
    ends = np.cumsum(blocks_W)
    window = np.searchsorted(ends, chosen, side="right")
    return TargetBlocks(contexts, block, window, (chosen - (ends - blocks_W)[window]) * block)


def _power_of_two(number: int) -> int:
    """The largest that is not above `number`."""
    return 1 << number.bit_length() - 1
