"""Which blocks of genomes share near-identical stretches, on either strand, and so belong in one split.

A block is cut into pieces of about 2,000 bases. A piece is alike another block that has a third of its sampled k-mers:
all of it at 95 % identity, or half of it at 98 %. Two blocks belong together

* when a piece of one is alike the other by k-mers that few blocks have, or
* when five pieces in a row are (or all, of a shorter block), by any k-mers.

So repeat families, which are shorter than 10,000 bases and in many places, join nothing, or one cluster would swallow
the genome; copies of a genome do, however many there are. A k-mer is compared with the first block that has it and no
other: the time grows with the bases, not with the pairs, and copies meet at their first one.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hdna.genome.interval import Interval
from hdna.progress import progress
from hdna_prep.kmers import Ints, Kmers, kmers_of_pieces
from hdna_prep.pool import InThisProcess, Pool, in_order
from hdna_prep.store_ref import StoreRef, opened

PIECE = 2000
SAMPLED = 32
"""One k-mer in so many is compared: some 60 of a piece."""
ALIKE = 1 / 3
"""Share of a piece's sampled k-mers."""
MIN_KMERS = 4
"""That a piece shares at the least: fewer may be chance."""
MAX_BLOCKS = 16
"""K-mers in more blocks than this are of a repeat family."""
PIECES_IN_A_ROW = 5

Numbers = npt.NDArray[np.uint32]
Block = tuple[StoreRef, Interval]


def clusters(blocks: Sequence[Block], pool: Pool | None = None) -> list[list[int]]:
    """The numbers of the blocks that belong together, each in one list; lists and numbers ascend.

    `pool` sketches the blocks (by default in this process), and does not affect the result.
    """
    counts = np.array([max(1, round(len(interval) / PIECE)) for _, interval in blocks])
    kmers, pieces = _sketch(blocks, counts, pool or InThisProcess())
    parents = list(range(len(blocks)))
    for one, other in _links(kmers, pieces, counts):
        low, high = sorted((_root(parents, one), _root(parents, other)))
        parents[high] = low
    found: dict[int, list[int]] = {}
    for number in range(len(blocks)):
        found.setdefault(_root(parents, number), []).append(number)
    return list(found.values())


def _sketch(blocks: Sequence[Block], counts: Ints, pool: Pool) -> tuple[Kmers, Numbers]:
    """(M,) the sampled k-mers of all pieces, and the number of the piece that each is of, ascending."""
    kmers, pieces = [np.empty(0, np.uint64)], [np.empty(0, np.uint32)]
    with progress(sum(len(interval) for _, interval in blocks), "comparing blocks", "bases") as advance:
        sketches = in_order(pool, (pool.submit(_block_kmers, *block) for block in blocks))
        firsts = np.cumsum(counts) - counts
        for (_, interval), first, count, (numbers, found) in zip(blocks, firsts, counts, sketches, strict=True):
            pieces.append((first + np.minimum(numbers, count - 1)).astype(np.uint32))
            kmers.append(found)
            advance(len(interval))
    return np.concatenate(kmers), np.concatenate(pieces)


def _block_kmers(store: StoreRef, interval: Interval) -> tuple[Ints, Kmers]:
    """A worker's task."""
    return kmers_of_pieces(opened(*store).read(interval), PIECE, SAMPLED)


def _links(kmers: Kmers, pieces: Numbers, counts: Ints) -> set[tuple[int, int]]:
    """Pairs of blocks that belong together; `counts`: (blocks,) pieces of each."""
    block_of = np.repeat(np.arange(counts.size, dtype=np.uint32), counts)
    sizes = np.bincount(pieces, minlength=block_of.size)
    piece, first, rare = _meetings(kmers, pieces, block_of)
    by_rare = _alike(piece[rare], first[rare], sizes)
    alike, by_any = _alike(piece, first, sizes)
    row = _in_a_row(alike, by_any, block_of, np.minimum(counts, PIECES_IN_A_ROW))
    pairs = [(block_of[by_rare[0]], by_rare[1]), (block_of[alike[row]], by_any[row])]
    return {pair for one, other in pairs for pair in zip(one.tolist(), other.tolist(), strict=True)}


def _meetings(kmers: Kmers, pieces: Numbers, block_of: Numbers) -> tuple[Numbers, Numbers, npt.NDArray[np.bool_]]:
    """Each k-mer of a piece that an earlier block has: the piece, the first such block, and if few blocks have it."""
    order = np.argsort(kmers, kind="stable")  # so that pieces ascend among those of one k-mer
    kmers, pieces = kmers[order], pieces[order]
    del order
    blocks = block_of[pieces]
    begins = np.append(True, kmers[1:] != kmers[:-1])[: kmers.size]
    starts = np.flatnonzero(begins)
    lengths = np.diff(np.append(starts, kmers.size))
    begins[1:] |= blocks[1:] != blocks[:-1]
    few = np.add.reduceat(begins, starts, dtype=np.uint32) <= MAX_BLOCKS if starts.size else begins
    first = np.repeat(blocks[starts], lengths)
    later = blocks != first
    return pieces[later], first[later], np.repeat(few, lengths)[later]


def _alike(piece: Numbers, first: Numbers, sizes: Ints) -> tuple[Ints, Ints]:
    """The pieces that are alike a block, and that block, in the order of blocks, then pieces."""
    keys, shared = np.unique(first * np.int64(sizes.size) + piece, return_counts=True)
    blocks, pieces = np.divmod(keys, sizes.size)
    enough = shared >= np.maximum(ALIKE * sizes[pieces], MIN_KMERS)
    return pieces[enough], blocks[enough]


def _in_a_row(pieces: Ints, alike: Ints, block_of: Numbers, need: Ints) -> Ints:
    """Where a row of `need` pieces of one block begins, all alike one other block."""
    last = np.arange(pieces.size) + need[block_of[pieces]] - 1
    begins = np.flatnonzero(last < pieces.size)
    last = last[begins]
    same = (alike[last] == alike[begins]) & (block_of[pieces[last]] == block_of[pieces[begins]])
    # Of one block, pieces ascend: as many as asked for are in a row if the numbers differ by just that.
    rows: Ints = begins[same & (pieces[last] - pieces[begins] == last - begins)]
    return rows


def _root(parents: list[int], number: int) -> int:
    """The first block of a cluster; shortens the way there."""
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number
