"""Which reader a file of labelled rows wants: told by what comes with it."""

from pathlib import PurePosixPath

from hdna.downstream.tasks.source_rows import (
    SourceRows,
    read_labelled_bed,
    read_labelled_fasta,
    read_labelled_table,
)
from hdna.errors import InputError
from hdna.genome.store import GenomeStore
from hdna_prep.source import Source

_SPLIT_NAMES = {"train", "valid", "val", "dev", "test"}


def read_rows(url: str, labels: str | None, genome: GenomeStore | None) -> SourceRows:
    """FASTA beside a table of labels, intervals of a genome, or a table. Raises InputError for what is none of them."""
    first = _first_bytes(url)
    if first.startswith(b">"):
        if labels is None:
            raise InputError(f"{url}: is FASTA: give the table of its labels (id, label) by --labels")
        return read_labelled_fasta(url, labels)
    if labels is not None:
        raise InputError(f"{url}: --labels is for FASTA, and this is none: want '>' at its beginning")
    return read_labelled_bed(url, genome) if genome is not None and _is_bed(first) else read_labelled_table(url, genome)


def name_of(test: str) -> str:
    """What a task is called: its test file's name, or its folder's where the file is called test alone."""
    path = PurePosixPath(test)
    stem = path.name.partition(".")[0]
    return path.parent.name if stem in _SPLIT_NAMES and path.parent.name else stem


def _first_bytes(url: str) -> bytes:
    return next(iter(Source(url).blocks()), b"")


def _is_bed(first: bytes) -> bool:
    """Whether the first line that is no comment has whole numbers in its second and third columns."""
    for line in first.decode(errors="replace").splitlines():
        if line.strip() and not line.startswith(("#", "track", "browser")):
            fields = line.split("\t")
            return len(fields) >= 3 and fields[1].isdigit() and fields[2].isdigit()
    return False
