"""What came of an `hdna eval embed`, how fast, and what a whole genome would take.

embed.json has, besides what all evidence has: url, sequences, bases, longest, pool, layer, dtype, megabases_per_second,
hours_for_3_gigabases and bytes_for_3_gigabases.
"""

from dataclasses import dataclass

from hdna.downstream.embed.embedder import Wanted
from hdna.downstream.evidence import Cost, write_evidence
from hdna.downstream.subject import Subject

GENOME_BASES = 3e9
"""What throughput is extrapolated to: about a human genome."""


@dataclass(frozen=True)
class Summary:
    """What was made, for the closing line and the evidence."""

    url: str
    sequences: int
    bases: int
    reused_bases: int
    """Of finished parts of an interrupted command."""
    embedding_seconds: float
    """Of the others."""
    embedding_bytes: int
    """Of all embeddings, without names and compression."""

    @property
    def megabases_per_second(self) -> float | None:
        """None if there was nothing left to do."""
        done = self.bases - self.reused_bases
        return done / 1e6 / self.embedding_seconds if done else None

    @property
    def hours_for_genome(self) -> float | None:
        """Of GENOME_BASES at this rate."""
        rate = self.megabases_per_second
        return GENOME_BASES / 1e6 / rate / 3600 if rate else None

    @property
    def bytes_for_genome(self) -> int:
        """Of the embeddings of GENOME_BASES in sequences like these."""
        return round(self.embedding_bytes * GENOME_BASES / self.bases)


def write_summary(summary: Summary, longest: int, subject: Subject, wanted: Wanted, cost: Cost) -> None:
    """Write embed.json beside the result; `longest`: bases of the longest sequence."""
    body = {
        "url": summary.url,
        "sequences": summary.sequences,
        "bases": summary.bases,
        "longest": longest,
        "pool": wanted.pool,
        "layer": wanted.layer,
        "dtype": wanted.dtype,
        "megabases_per_second": summary.megabases_per_second,
        "hours_for_3_gigabases": summary.hours_for_genome,
        "bytes_for_3_gigabases": summary.bytes_for_genome,
    }
    folder = summary.url.rstrip("/").rpartition("/")[0]
    write_evidence(folder or ("/" if summary.url.startswith("/") else "."), "embed", subject, cost, body)
