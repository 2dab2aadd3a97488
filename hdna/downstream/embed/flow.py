"""`hdna eval embed`, overall: sequences and a checkpoint in, one complete table of embeddings out."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hdna import __version__
from hdna.downstream.embed.embedder import BATCH_TOKENS, Embedder, Wanted, padded_length
from hdna.downstream.embed.parts import PART_BASES, PART_BYTES, Part, PartFiles, plan_parts
from hdna.downstream.embed.results import Described, notes_of, result_at
from hdna.downstream.embed.sequences import Origin, Sequences
from hdna.downstream.embed.work import Work, Worker
from hdna.downstream.evidence import Cost, measured, write_evidence
from hdna.downstream.subject import Subject, load_subject
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.model.memory import MicroStepShape, forward_bytes
from hdna.storage.staging import staging

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


def embed(
    run_url: str, origin: Origin, out: str, wanted: Wanted, elsewhere: Worker | None, say: Callable[[str], None]
) -> Summary:
    """Embed all sequences of `origin` by the newest checkpoint of `run_url`, into Parquet or Zarr at `out`.

    `elsewhere` does the work; None: this process does. `say` is called with lines for the user. Beside `out` comes
    embed.json. An interrupted command given again goes on. Raises InputError for bad input; then nothing is written.
    """
    result = result_at(out)
    result.refuse_existing()
    stamps = origin.fingerprint()
    subject = load_subject(run_url)
    _refuse_layer(subject, wanted)
    key = _resume_key(subject, wanted, stamps)
    with measured(subject.device) as cost, staging(out, "set of embeddings", key) as folder:
        sequences = origin.open(folder, say)
        sequences.refuse_longer(subject.config.model.l_max)
        say(_plan_line(sequences, subject))
        parts, files = _plan(sequences, subject, wanted, folder)
        left = [part for part in parts if not files.has(part)]
        do = elsewhere or _in_this_process(subject, wanted)
        began = time.monotonic()
        do(Work(subject, wanted, origin, sequences, folder, left, files))
        seconds = time.monotonic() - began
        notes = notes_of(subject.url, subject.checksum, wanted)
        described = Described(sequences, wanted, subject.config.model.d_model, notes)
        result.write(folder, described, files.values(parts))
    cost.bases = sum(part.bases for part in left)
    bases, rows = int(sequences.lengths_N.sum()), sum(part.rows for part in parts)
    size = rows * subject.config.model.d_model * np.dtype(wanted.dtype).itemsize
    summary = Summary(out, len(sequences), bases, bases - cost.bases, seconds, size)
    _write_evidence(summary, sequences, subject, wanted, cost)
    return summary


def _plan(sequences: Sequences, subject: Subject, wanted: Wanted, folder: Path) -> tuple[list[Part], PartFiles]:
    width = subject.config.model.d_model
    row_bytes = width * np.dtype(wanted.dtype).itemsize
    parts = plan_parts(sequences.lengths_N, wanted.rows(sequences.lengths_N), row_bytes)
    return parts, PartFiles(folder / "parts", width, wanted)


def _in_this_process(subject: Subject, wanted: Wanted) -> Worker:
    embedder = Embedder(subject, wanted)
    embedder.embed([np.full(1, alphabet.A, np.uint8)])  # what the first pass loads is not part of the rate
    return lambda work: work.take((number, embedder(message)) for number, message in work.messages())


def _plan_line(sequences: Sequences, subject: Subject) -> str:
    """What is about to be done, and the memory of its largest batch."""
    model, longest = subject.config.model, int(sequences.lengths_N.max())
    padded = padded_length(longest, model.l_max)
    batch = max(1, BATCH_TOKENS[subject.device.type] // padded)
    memory = forward_bytes(model, MicroStepShape(min(batch, len(sequences)), padded))
    return (
        f"{len(sequences):,} sequences of {int(sequences.lengths_N.sum()):,} bases, the longest of {longest:,}: "
        f"a pass takes about {memory / 2**30:.2g} GiB besides the weights"
    )


def _refuse_layer(subject: Subject, wanted: Wanted) -> None:
    layers = subject.config.model.n_layer
    if wanted.layer is not None and not 0 <= wanted.layer <= layers:
        raise InputError(f"--layer {wanted.layer}: the model has {layers} layers: want 0 (the embedding) to {layers}")


def _resume_key(subject: Subject, wanted: Wanted, stamps: str) -> str:
    """A hash of all that a finished part depends on."""
    choice = [wanted.layer, wanted.pool, wanted.dtype, PART_BASES, PART_BYTES]
    what = json.dumps([__version__, subject.checksum, stamps, choice])
    return hashlib.sha256(what.encode()).hexdigest()[:16]


def _write_evidence(summary: Summary, sequences: Sequences, subject: Subject, wanted: Wanted, cost: Cost) -> None:
    body = {
        "url": summary.url,
        "sequences": summary.sequences,
        "bases": summary.bases,
        "longest": int(sequences.lengths_N.max()),
        "pool": wanted.pool,
        "layer": wanted.layer,
        "dtype": wanted.dtype,
        "megabases_per_second": summary.megabases_per_second,
        "hours_for_3_gigabases": summary.hours_for_genome,
        "bytes_for_3_gigabases": summary.bytes_for_genome,
    }
    folder = summary.url.rstrip("/").rpartition("/")[0]
    write_evidence(folder or ("/" if summary.url.startswith("/") else "."), "embed", subject, cost, body)
