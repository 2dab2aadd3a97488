"""A part of a VCF, which one worker scores alone."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache

import torch

from hdna.downstream.subject import Subject, load_subject
from hdna.downstream.variants import bgzf
from hdna.downstream.variants.alleles import Allele, alleles_of, contig_name
from hdna.downstream.variants.differences import by_differences
from hdna.downstream.variants.full_pass import by_full_pass
from hdna.downstream.variants.info import scored_line
from hdna.downstream.variants.labels import Labelled, labels_of
from hdna.downstream.variants.scores import Score, Scorer
from hdna.downstream.variants.vcf import Record, parse
from hdna.downstream.variants.windows import Geometry
from hdna.genome.store import GenomeStore
from hdna_prep.store_ref import StoreRef, opened


@dataclass(frozen=True)
class Job:
    """What all parts of a command have in common."""

    checkpoint: str
    weights: str
    """The checkpoint's checksum."""
    genome: StoreRef
    geometry: Geometry
    full: bool
    """By whole passes."""
    labels: str | None
    """The INFO key that has them."""
    threads: int | None
    """Of a worker; None leaves torch's number."""

    @property
    def method(self) -> str:
        """As the evidence says it."""
        return "full" if self.full else "differences"

    def key(self, lines: Sequence[tuple[int, bytes]]) -> str:
        """A hash of all that these records' scores depend on."""
        what = [self.weights, self.genome[1], asdict(self.geometry), self.full, self.labels]
        digest = hashlib.sha256(json.dumps(what).encode())
        for number, line in lines:
            digest.update(b"%d\n%s\n" % (number, line))
        return digest.hexdigest()


@dataclass(frozen=True)
class Origin:
    """The VCF that a part is of."""

    name: str
    """For messages."""
    columns: int
    """Of its records."""


@dataclass
class Tally:
    """What a part, or all of them, came to."""

    records: int = 0
    scored: int = 0
    """Alleles."""
    refused: dict[str, int] = field(default_factory=dict)
    """Alleles by reason."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Contigs that the genome calls otherwise."""
    labelled: list[Labelled] = field(default_factory=list)
    unlabelled: int = 0
    """Scored alleles without a label, if labels were asked for."""
    bases: int = 0
    """That the model read."""
    seconds: float = 0.0
    """Of workers, without loading the model."""

    def merge(self, other: "Tally") -> None:
        """Add another part's."""
        self.records, self.scored = self.records + other.records, self.scored + other.scored
        self.refused = dict(Counter(self.refused) + Counter(other.refused))
        self.renamed = other.renamed | self.renamed
        self.labelled += other.labelled
        self.unlabelled += other.unlabelled
        self.bases, self.seconds = self.bases + other.bases, self.seconds + other.seconds


@lru_cache(maxsize=1)
def _loaded(checkpoint: str) -> Subject:
    """A checkpoint's model, loaded once per process: a checkpoint never changes."""
    return load_subject(checkpoint)


def scorer(job: Job, genome: GenomeStore) -> Scorer:
    """What scores alleles of the genome as the job says."""
    if job.threads:
        torch.set_num_threads(job.threads)
    engine = by_full_pass if job.full else by_differences
    return Scorer(_loaded(job.checkpoint).model, engine, genome.read, genome.contigs, job.geometry)


def score_part(job: Job, origin: Origin, lines: Sequence[tuple[int, bytes]]) -> tuple[bytes, Tally]:
    """The part's records with their scores, as bgzip blocks, and its tally. Raises InputError for a malformed one."""
    genome = opened(*job.genome)
    using, began = scorer(job, genome), time.monotonic()
    parsed = [parse(line, f"{origin.name}:{number}", origin.columns) for number, line in lines]
    alleles = [alleles_of(record, genome, job.geometry.horizon) for _, record in parsed]
    scores = iter(using.scores([allele for group in alleles for allele in group if isinstance(allele, Allele)]))
    results = [[next(scores) if isinstance(one, Allele) else one for one in group] for group in alleles]
    text = b"".join(scored_line(fields, found) for (fields, _), found in zip(parsed, results, strict=True))
    tally = Tally(records=len(parsed), bases=using.bases)
    for (_, record), group, found in zip(parsed, alleles, results, strict=True):
        _count(tally, job, genome, record, group, found)
    compressed = bgzf.compressed(text)
    tally.seconds = time.monotonic() - began
    return compressed, tally


def _count(
    tally: Tally,
    job: Job,
    genome: GenomeStore,
    record: Record,
    alleles: Sequence[Allele | str],
    results: Sequence[Score | str],
) -> None:
    known_as = contig_name(record.contig, genome)
    if known_as is not None and known_as != record.contig:
        tally.renamed[record.contig] = known_as
    labels = labels_of(record.info, job.labels, len(results)) if job.labels else [None] * len(results)
    for allele, result, label in zip(alleles, results, labels, strict=True):
        if isinstance(result, str) or isinstance(allele, str):
            tally.refused[str(result)] = tally.refused.get(str(result), 0) + 1
            continue
        tally.scored += 1
        if label is not None:
            tally.labelled.append(Labelled(allele.contig, allele.kind, label, result.ratio))
        elif job.labels:
            tally.unlabelled += 1
