"""The parts of FASTA to store, each alone on one core, in bases per second of CPU time.

Each part gets the previous one's output from memory; the best of three runs counts.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hdna.genome.arrays import CHUNK_BYTES, encode_chunks
from hdna.genome.segment import pack_letters
from hdna_prep.segments import SegmentReader
from hdna_prep.source import Source

ROUNDS = 3


def parts(fasta: Path) -> dict[str, float]:
    """Bases per second of CPU time: reading with checksum, the same with parsing, encoding, compressing."""
    segments = list(_segments(fasta))
    packed = [pack_letters(letters)[0] for letters in segments]
    bases = sum(map(len, segments))
    runs: dict[str, Callable[[], object]] = {
        "read and sha256": lambda: sum(len(block) for block in Source(str(fasta)).blocks()),
        "and parse": lambda: sum(map(len, _segments(fasta))),
        "encode": lambda: [pack_letters(letters)[1] for letters in segments],
        "compress": lambda: [encode_chunks(codes, CHUNK_BYTES) for codes in packed],
    }
    return {name: bases / min(_seconds(run) for _ in range(ROUNDS)) for name, run in runs.items()}


def _segments(fasta: Path) -> Iterator[bytes]:
    return SegmentReader([str(fasta)], lambda header, place: None, lambda count: None).segments()


def _seconds(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began
