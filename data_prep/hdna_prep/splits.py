"""Which stretches of an assembly are for training and which are held out: by BED file, contig, hash or similarity.

Splits come before windows, so that no window crosses a border and no base belongs to two splits.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise

from hdna.errors import InputError
from hdna.genome.interval import Interval
from hdna.genome.shard import SPLITS
from hdna.genome.store import GenomeStore, unknown_contig
from hdna_prep.bed import BedLine, past_the_end, read_bed_lines
from hdna_prep.pool import Pool
from hdna_prep.similarity import clusters

HELD_OUT_SHARE = 0.1
"""Share of bases that a rule assigns to valid, and to test."""
_MIN_BLOCKS = 20

Stores = Mapping[str, GenomeStore]
"""Stores by assembly name."""


@dataclass(frozen=True, order=True)
class Stretch:
    """A stretch of one contig in one split; 0-based, half-open."""

    assembly: str
    contig: str
    start: int
    end: int
    split: str

    @property
    def bases(self) -> int:
        """Length."""
        return self.end - self.start


Group = tuple[Stretch, ...]
"""Stretches that belong in one split."""


def read_bed(url: str, stores: Stores) -> list[Stretch]:
    """Read stretches from a BED file, plain or gzip, with the split (train, valid or test) in the fourth column.

    Overlapping or adjacent stretches of one split are merged. Raises InputError, "file:line: …", for a malformed line,
    an unknown contig, a stretch past its contig's end, and overlapping stretches of two splits.
    """
    lines = read_bed_lines(url, "contig, start, end and split")
    stretches = [(_bed_line(line, stores), line.number) for line in lines]
    stretches.sort()
    for (one, one_line), (other, other_line) in pairwise(stretches):
        if _overlap(one, other) and one.split != other.split:
            clash = f"overlaps line {one_line}, which is in another split"
            raise InputError(f"{url}:{other_line}: {clash}: make them disjoint")
    return _checked_disjoint(_merged([stretch for stretch, _ in stretches]), url)


def split_by_contig(stores: Stores) -> list[Stretch]:
    """Assign whole contigs, ranked by a hash of their names, to valid and test, about a tenth of the bases each.

    Raises InputError when there are fewer than two contigs.
    """
    contigs = [
        Stretch(assembly, contig, 0, length, "train")
        for assembly, store in stores.items()
        for contig, length in store.contigs.items()
    ]
    if len(contigs) < 2:
        raise InputError("--split-by contig: needs at least two contigs: use --split-by hash for a single one")
    return sorted(_ranked_split([(contig,) for contig in contigs], stores))


def split_by_hash(stores: Stores, window: int) -> list[Stretch]:
    """Assign blocks of about `window` bases, ranked by a hash of contig and start: a tenth each to valid and test.

    An assembly of fewer than twenty windows is cut into about twenty blocks, to keep the shares. Neighbouring blocks of
    one split become one stretch.
    """
    return _merged(_ranked_split([(block,) for block in _blocks(stores, window)], stores))


def split_by_similarity(stores: Stores, window: int, pool: Pool | None = None) -> list[Stretch]:
    """Like `split_by_hash`, but blocks that share near-identical stretches go to one split, together.

    `pool` compares the blocks (by default in this process), and does not affect the result.
    """
    blocks = _blocks(stores, window)
    refs = {assembly: (store.url, store.checksum) for assembly, store in stores.items()}
    alike = clusters([(refs[block.assembly], _interval(block)) for block in blocks], pool)
    return _merged(_ranked_split([tuple(blocks[number] for number in numbers) for numbers in alike], stores))


def _blocks(stores: Stores, window: int) -> list[Stretch]:
    """The stores in blocks of about `window` bases, or of a twentieth of all."""
    total = sum(store.bases for store in stores.values())
    block = max(2, min(window, total // _MIN_BLOCKS))
    return [
        Stretch(assembly, contig, length * i // count, length * (i + 1) // count, "train")
        for assembly, store in stores.items()
        for contig, length in store.contigs.items()
        for count in [max(1, round(length / block))]
        for i in range(count)
    ]


def _ranked_split(groups: Sequence[Group], stores: Stores) -> list[Stretch]:
    """Assign some groups of stretches to valid and test; those that are mostly N stay in train."""
    known = [group for group in groups if 2 * sum(_unknown(s, stores) for s in group) <= _bases(group)]
    ranked = sorted(known, key=lambda group: _rank(group[0]))
    target = HELD_OUT_SHARE * sum(map(_bases, ranked))
    valid = _nearest(ranked, target) if len(ranked) >= 2 else set()
    rest = [group for group in ranked if group not in valid]
    test = _nearest(rest, target) if len(rest) >= 2 else set()
    splits = {group: "valid" if group in valid else "test" if group in test else "train" for group in groups}
    return [_assigned(stretch, split) for group, split in splits.items() for stretch in group]


def _nearest(ranked: Sequence[Group], target: float) -> set[Group]:
    """In rank order, each group that brings the sum of bases closer to the target; at least one, never all."""
    chosen: set[Group] = set()
    total = 0
    for group in ranked:
        if len(chosen) < len(ranked) - 1 and total + _bases(group) / 2 <= target:
            chosen.add(group)
            total += _bases(group)
    return chosen or {min(ranked, key=_bases)}


def _bases(group: Group) -> int:
    return sum(stretch.bases for stretch in group)


def _unknown(stretch: Stretch, stores: Stores) -> int:
    return stores[stretch.assembly].count_unknown(_interval(stretch))


def _rank(stretch: Stretch) -> bytes:
    key = f"{stretch.assembly}\0{stretch.contig}\0{stretch.start}"
    return hashlib.blake2b(key.encode(), digest_size=8).digest()


def _assigned(stretch: Stretch, split: str) -> Stretch:
    return Stretch(stretch.assembly, stretch.contig, stretch.start, stretch.end, split)


def _interval(stretch: Stretch) -> Interval:
    return Interval(stretch.contig, stretch.start, stretch.end)


def _merged(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Sorted, with overlapping or adjacent ones of one split merged."""
    lanes: dict[tuple[str, str, str], list[Stretch]] = defaultdict(list)
    for stretch in sorted(stretches):
        lane = lanes[stretch.assembly, stretch.contig, stretch.split]
        if lane and stretch.start <= lane[-1].end:
            last = lane.pop()
            stretch = Stretch(last.assembly, last.contig, last.start, max(last.end, stretch.end), last.split)
        lane.append(stretch)
    return sorted(stretch for lane in lanes.values() for stretch in lane)


def _checked_disjoint(stretches: list[Stretch], url: str) -> list[Stretch]:
    """Check again after merging: a long stretch may overlap one that is not its neighbour."""
    for one, other in pairwise(stretches):
        if _overlap(one, other):
            both = f"{one.contig}:{one.start}-{one.end} ({one.split}) and {other.start}-{other.end} ({other.split})"
            raise InputError(f"{url}: {both} overlap: a base may belong to only one split; make them disjoint")
    return stretches


def _overlap(one: Stretch, other: Stretch) -> bool:
    return (one.assembly, one.contig) == (other.assembly, other.contig) and other.start < one.end


def _bed_line(line: BedLine, stores: Stores) -> Stretch:
    contig, split = line.contig, line.fields[3]
    start, end = line.span
    if split not in SPLITS:
        near = get_close_matches(split, SPLITS, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"{line.where}: unknown split {split!r}: want train, valid or test{hint}")
    having = [assembly for assembly, store in stores.items() if contig in store.contigs]
    if not having:
        raise unknown_contig(line.where, contig, [name for store in stores.values() for name in store.contigs])
    if len(having) > 1:
        raise InputError(f"{line.where}: contig {contig!r} is in {' and '.join(having)}: make a shard set of each")
    length = stores[having[0]].contigs[contig]
    if end > length:
        raise past_the_end(line.where, end, contig, length)
    return Stretch(having[0], contig, start, end, split)
