"""Which species is a piece of a genome from: windows of several genomes, and the paper's chromosomes held out."""

import heapq
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hdna.downstream.tasks.source_rows import SourceRows
from hdna.genome.hashing import hash_int
from hdna.progress import Advance, progress
from hdna_prep.fasta import Header, read_fasta
from hdna_prep.source import Source

TEST_CHROMOSOMES = {"1", "3", "12", "13"}
"""Held out by HyenaDNA (PAPER, section 4.4); of a genome that names none of them so, others are, by their names."""
_MAX_UNKNOWN = 0.1
"""Of a window's letters; windows with more N are left out."""


@dataclass(frozen=True, order=True)
class _Window:
    rank: int
    """By hash: windows of the highest ranks are kept."""
    contig: str
    start: int
    letters: str


def cut_species(genomes: Mapping[str, Path], length: int, windows: int) -> dict[str, SourceRows]:
    """Up to `windows` windows of each genome, drawn by hash of those that lie side by side: train, and test if named.

    Raises InputError for bad FASTA.
    """
    found = dict[str, list[_Window]]()
    with progress(sum(path.stat().st_size for path in genomes.values()), "cutting windows", "bytes") as advance:
        for name, path in genomes.items():
            found[name] = _drawn(path, length, windows, advance)
    held = {name: [_is_held_out(window.contig) for window in own] for name, own in found.items()}
    if not all(any(own) for own in held.values()):
        return {"train": _rows({name: list(own) for name, own in found.items()})}
    parts = {}
    for split, wanted in (("train", False), ("test", True)):
        chosen = {
            name: [window for window, out in zip(own, held[name], strict=True) if out == wanted]
            for name, own in found.items()
        }
        parts[split] = _rows(chosen)
    return parts


def _drawn(path: Path, length: int, windows: int, advance: Advance) -> list[_Window]:
    kept: list[_Window] = []
    for contig, start, letters in _side_by_side(path, length, advance):
        if letters.upper().count("N") > _MAX_UNKNOWN * length:
            continue
        window = _Window(hash_int(zlib.crc32(contig.encode()), start), contig, start, letters)
        (heapq.heappush if len(kept) < windows else heapq.heappushpop)(kept, window)
    return sorted(kept, key=lambda window: (window.contig, window.start))


def _side_by_side(path: Path, length: int, advance: Advance) -> Iterator[tuple[str, int, str]]:
    contig, start, held = "", 0, ""
    for piece in read_fasta(Source(str(path), advance)):
        if isinstance(piece, Header):
            contig, start, held = piece.name, 0, ""
            continue
        held += piece.decode()
        whole = len(held) // length * length
        for first in range(0, whole, length):
            yield contig, start + first, held[first : first + length]
        start, held = start + whole, held[whole:]


def _is_held_out(contig: str) -> bool:
    return contig.removeprefix("chr") in TEST_CHROMOSOMES


def _rows(windows: Mapping[str, list[_Window]]) -> SourceRows:
    """Windows of all species; their chromosomes are those of the species."""
    all_of = [(name, window) for name, own in windows.items() for window in own]
    return SourceRows(
        " ".join(windows),
        [window.letters for _, window in all_of],
        {"label": [name for name, _ in all_of]},
        lambda row: f"{all_of[row][0]} {all_of[row][1].contig}:{all_of[row][1].start}",
        chromosomes=[f"{name} {window.contig}" for name, window in all_of],
    )
