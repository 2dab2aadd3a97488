"""What `hdna prep member` finds and what it does not, and how fast; and what splits by similarity join.

Found: homologs of known identity, half of them on the other strand, one difference in ten an insertion or a loss of a
base; whole contigs of them, and 5,000 bases at a time between unrelated bases ("short": bases found of those planted).
Unrelated: each FASTA given in the train split, each other one asked for. Speed: one process, CPU time, the best of
three. Memory: the peak of what numpy and Python allocate, per base. Splits: how many blocks of a FASTA are together.

Example: OMP_NUM_THREADS=1 python bench/member.py yeast.fa worm.fa human.fa.gz
"""

import argparse
import platform
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hdna.genome import GenomeStore
from hdna.genome.alphabet import decode, encode, reverse_complement
from hdna.genome.interval import Interval
from hdna.genome.packing import Bytes
from hdna.genome.shard_set import ShardSet, load_shard_set
from hdna_prep.encode import encode_genome
from hdna_prep.kmers import sampled_kmers
from hdna_prep.member import BANDS, membership
from hdna_prep.query import SAMPLED
from hdna_prep.segments import SegmentReader
from hdna_prep.shards import write_shards
from hdna_prep.similarity import clusters
from hdna_prep.splits import split_by_hash, split_by_similarity

IDENTITIES = (1.0, 0.99, 0.97, 0.95, 0.93, 0.90, 0.85, 0.80)
HOMOLOG, SHORT = 500_000, 5_000
SPEED_BASES, ROUNDS = 16_000_000, 3
WINDOW, BLOCK = 1 << 20, 1 << 16
DUPLICATIONS, DUPLICATE_BLOCK = 150, 20_000


def main() -> None:
    """Print the conditions, then a table for each question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fasta", nargs="*", type=Path, help="FASTA files of unrelated genomes")
    args = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}, one process")
    rng = np.random.default_rng(1)
    with TemporaryDirectory(prefix="hdna-member-") as name:
        folder = Path(name)
        print("\nfound of random sequence")
        _show(_found(folder / "random", rng.integers(7, 11, HOMOLOG * len(IDENTITIES)).astype(np.uint8)))
        for fasta in args.fasta:
            print(f"\nfound of {fasta.name}")
            _show(_found(folder / fasta.stem, _tokens(fasta)))
        print("\nfound of a genome in the train split of another")
        _show(_unrelated(folder / "pairs", args.fasta))
        print("\nspeed and memory")
        _show(_speed(folder / "speed"))
        print(f"\nduplications of two blocks of {DUPLICATE_BLOCK:,} bases that bring them together, of {DUPLICATIONS}")
        _show(_duplications(folder / "duplications"))
        print(f"\nsplits by similarity, blocks of {BLOCK:,} bases")
        _show(_joined(folder / "splits", args.fasta))


def _found(folder: Path, text: Bytes) -> Iterator[list[str]]:
    """For each identity, the share found of homologs; each in a contig of its own."""
    rng = np.random.default_rng(2)
    yield ["identity", *(f">= {band:.0%}" for band in BANDS), "short", "bases"]
    train: list[Bytes] = []
    whole: dict[str, Bytes] = {}
    short: dict[str, Bytes] = {}
    for identity, part in zip(IDENTITIES, np.array_split(text, len(IDENTITIES)), strict=True):
        name = f"{identity:.0%}"
        copy = _relative(rng, part, identity)
        train += [copy if len(train) % 2 else reverse_complement(copy), _random(rng, 1000)]
        whole[name] = part
        pieces = [part[start : start + SHORT] for start in range(0, part.size - SHORT, 2 * SHORT)]
        short[name] = np.concatenate([_random(rng, 700), *(x for p in pieces for x in (p, _random(rng, SHORT)))])
    made = _set(folder, {"train": np.concatenate(train)})
    found = {kind: _asked(folder, contigs, made) for kind, contigs in (("whole", whole), ("short", short))}
    for name in whole:
        known, bands = found["whole"][name]
        planted = (short[name].size - 700) / 2
        shares = [f"{bases / known:.1%}" for bases in bands]
        yield [name, *shares, f"{found['short'][name][1][-1] / planted:.1%}", f"{known:,}"]


def _unrelated(folder: Path, fastas: list[Path]) -> Iterator[list[str]]:
    yield ["train", "asked for", *(f">= {band:.0%}" for band in BANDS)]
    folder.mkdir()
    for train in fastas:
        made = _prepared(folder, train)
        for query in fastas:
            if query != train:
                whole = membership(str(query), [made]).whole
                yield [train.name, query.name, *(f"{bases / whole.known:.3%}" for bases in whole.found)]


def _speed(folder: Path) -> Iterator[list[str]]:
    """Of random bases, which have more different k-mers than any genome."""
    yield ["", "Mbase/s", "bytes a base"]
    tokens = _random(np.random.default_rng(3), SPEED_BASES)
    made = _set(folder, {"train": tokens})
    query, store = str(folder / "train.fa"), GenomeStore.open(str(folder / "train.zarr"))
    runs: dict[str, tuple[float, Callable[[], object]]] = {
        "k-mers sampled": (1, lambda: sampled_kmers(tokens, SAMPLED)),
        "the whole command, genome and train split": (2, lambda: membership(query, [made])),
        "splits by similarity": (1, lambda: split_by_similarity({"a": store}, WINDOW)),
    }
    for name, (passes, run) in runs.items():
        seconds = min(_seconds(run) for _ in range(ROUNDS))
        tracemalloc.start()
        run()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        yield [name, f"{passes * SPEED_BASES / 1e6 / seconds:.0f}", f"{peak / SPEED_BASES:.1f}"]


def _duplications(folder: Path) -> Iterator[list[str]]:
    """For each length and identity, the share of planted pairs whose blocks are together, with no others."""
    identities = (1.0, 0.99, 0.98, 0.97, 0.96, 0.95, 0.93, 0.90)
    yield ["bases", *(f"{identity:.0%}" for identity in identities)]
    folder.mkdir()
    for bases in (2_000, 3_000, 5_000, 10_000):
        shares = [_together(folder / f"{bases}-{identity}", bases, identity) for identity in identities]
        yield [f"{bases:,}", *(f"{share:.0%}" for share in shares)]


def _together(folder: Path, bases: int, identity: float) -> float:
    rng = np.random.default_rng(4)
    blocks = _random(rng, 2 * DUPLICATIONS * DUPLICATE_BLOCK).reshape(-1, DUPLICATE_BLOCK)
    places = rng.integers(0, DUPLICATE_BLOCK - bases, (DUPLICATIONS, 2)).tolist()
    for number, (source, place) in enumerate(places):
        copy = _relative(rng, blocks[2 * number, source : source + bases], identity)[:bases]
        copy = reverse_complement(copy) if number % 2 else copy
        blocks[2 * number + 1, place : place + copy.size] = copy
    folder.mkdir()
    _write(folder / "g.fa", {"a": blocks.ravel()})
    encode_genome([str(folder / "g.fa")], str(folder / "g.zarr"))
    ref = str(folder / "g.zarr"), GenomeStore.open(str(folder / "g.zarr")).checksum
    starts = range(0, blocks.size, DUPLICATE_BLOCK)
    found = clusters([(ref, Interval("a", start, start + DUPLICATE_BLOCK)) for start in starts])
    return sum(found.count([2 * number, 2 * number + 1]) for number in range(DUPLICATIONS)) / DUPLICATIONS


def _joined(folder: Path, fastas: list[Path]) -> Iterator[list[str]]:
    """How many blocks belong together, and what is held out."""
    yield ["genome", "blocks", "clusters", "the largest", "held out by hash", "by similarity"]
    folder.mkdir()
    for fasta in fastas:
        encode_genome([str(fasta)], str(folder / f"{fasta.stem}.zarr"))
        store = GenomeStore.open(str(folder / f"{fasta.stem}.zarr"))
        blocks = [
            Interval(name, start, min(start + BLOCK, length))
            for name, length in store.contigs.items()
            for start in range(0, length, BLOCK)
        ]
        sizes = [len(cluster) for cluster in clusters([((store.url, store.checksum), block) for block in blocks])]
        both = split_by_hash({"a": store}, BLOCK), split_by_similarity({"a": store}, BLOCK)
        held = [sum(s.bases for s in stretches if s.split != "train") / store.bases for stretches in both]
        yield [fasta.name, *map(str, (len(blocks), len(sizes), max(sizes))), *(f"{share:.1%}" for share in held)]


def _asked(folder: Path, contigs: dict[str, Bytes], made: ShardSet) -> dict[str, tuple[int, tuple[int, ...]]]:
    _write(folder / "query.fa", contigs)
    return {share.name: (share.known, share.found) for share in membership(str(folder / "query.fa"), [made]).contigs}


def _set(folder: Path, contigs: dict[str, Bytes]) -> ShardSet:
    folder.mkdir()
    _write(folder / "train.fa", contigs)
    return _prepared(folder, folder / "train.fa")


def _prepared(folder: Path, fasta: Path) -> ShardSet:
    """A shard set of the whole genome, all of it train."""
    store, bed, out = (str(folder / f"{fasta.stem}{end}") for end in (".zarr", ".bed", "-shards"))
    encode_genome([str(fasta)], store)
    contigs = GenomeStore.open(store).contigs
    Path(bed).write_text("".join(f"{name}\t0\t{length}\ttrain\n" for name, length in contigs.items()))
    write_shards([store], out, bed)
    return load_shard_set(out)


def _tokens(fasta: Path) -> Bytes:
    return encode(b"".join(SegmentReader([str(fasta)], lambda header, at: None, lambda count: None).segments()))


def _write(path: Path, contigs: dict[str, Bytes]) -> None:
    path.write_bytes(b"".join(b">%s\n%s\n" % (name.encode(), decode(text)) for name, text in contigs.items()))


def _random(rng: np.random.Generator, bases: int) -> Bytes:
    return rng.integers(7, 11, bases).astype(np.uint8)


def _relative(rng: np.random.Generator, tokens: Bytes, identity: float) -> Bytes:
    """A copy with substitutions, insertions and losses."""
    what = rng.random(tokens.size) / (1 - identity) if identity < 1 else np.ones(tokens.size)
    changed = (what < 0.9) & (tokens >= 7) & (tokens <= 10)
    copy = np.where(changed, 7 + (tokens - 7 + rng.integers(1, 4, tokens.size)) % 4, tokens).astype(np.uint8)
    return np.repeat(copy, np.where(what < 0.9, 1, np.where(what < 0.95, 0, np.where(what < 1, 2, 1))))


def _seconds(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def _show(rows: Iterator[list[str]]) -> None:
    for row in rows:
        print("  ".join(cell.rjust(12) for cell in row))


if __name__ == "__main__":
    main()
