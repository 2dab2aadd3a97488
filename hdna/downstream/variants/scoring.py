"""`hdna eval variants` from end to end.

Parts of the VCF grow in a hidden folder beside the output, which appears by a rename when all are there: the same bytes
whoever scored them, and after whatever interruptions.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hdna
from hdna import storage
from hdna.downstream.evidence import measured, write_evidence
from hdna.downstream.reference_genome import open_genome
from hdna.downstream.subject import load_subject
from hdna.downstream.variants.alleles import OTHER_GENOME
from hdna.downstream.variants.labels import judged, refuse_undefined
from hdna.downstream.variants.part import Job, Tally
from hdna.downstream.variants.parts import score_parts
from hdna.downstream.variants.saturate import saturated
from hdna.downstream.variants.vcf import open_vcf
from hdna.downstream.variants.windows import geometry
from hdna.errors import InputError
from hdna.genome.store import GenomeStore
from hdna.progress import progress
from hdna.storage.staging import new_file, refuse_existing, staging
from hdna_prep.pool import Pool
from hdna_prep.source import Source

NOUN = "scored VCF"
_BGZIP = (".gz", ".bgz")

Controls = Callable[[Job, GenomeStore], dict[str, Any]]


@dataclass(frozen=True)
class Request:
    """What is asked for: the alleles of a VCF, or every substitution of a BED file's regions."""

    run: str
    fasta: str
    """Or a genome store."""
    out: str
    vcf: str | None = None
    bed: str | None = None
    context: int | None = None
    horizon: int | None = None
    full: bool = False
    labels: str | None = None
    """The INFO key that has them."""


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    job: Job
    tally: Tally
    body: dict[str, Any]
    """Of the evidence."""
    evidence: str
    """Its URL."""


def score_variants(request: Request, pool: Pool, threads: int | None, controls: Controls | None = None) -> Outcome:
    """Score alleles into the VCF `out`, and leave `variants.json` beside it.

    `pool` scores parts, each worker with `threads` threads (None: as many as torch takes); its workers must see the
    checkpoint and the genome. `controls` has more to say for the evidence. Raises InputError when an input is bad, when
    no record is of this genome, and when `out` exists; then nothing is written.
    """
    _refuse_early(request)
    subject = load_subject(request.run)
    shape = geometry(subject.config.model.l_max, request.context, request.horizon)
    with staging(request.out, NOUN, _resume_key(request)) as folder, measured(subject.device) as cost:
        genome = open_genome(request.fasta, folder)
        ref = genome.url, genome.checksum
        job = Job(subject.url, subject.checksum, ref, shape, request.full, request.labels, threads)
        tally = _scored(request, job, genome, folder, pool)
        _refuse_another_genome(request, tally)
        body = _body(job, tally) | ({"controls": controls(job, genome)} if controls else {})
        cost.bases = tally.bases
        _commit(folder / "whole", request.out)
    return Outcome(job, tally, body, write_evidence(_folder_of(request.out), "variants", subject, cost, body))


def _refuse_early(request: Request) -> None:
    """Whatever can be told before hours of work, or minutes of reading FASTA."""
    if not request.out.endswith(_BGZIP):
        raise InputError(f"--out {request.out}: is written by bgzip: want a name that ends in .vcf.gz")
    refuse_existing(request.out, NOUN)
    if storage.exists(request.out):  # in a bucket, where only sets with a manifest are told above
        raise InputError(f"{request.out}: already exists; it is never overwritten: remove it or choose another name")
    if request.vcf:
        variants = open_vcf(request.vcf)
        if request.labels:
            refuse_undefined(variants, request.labels)


def _scored(request: Request, job: Job, genome: GenomeStore, folder: Path, pool: Pool) -> Tally:
    if request.vcf:
        with progress(Source(request.vcf).size, "scoring", "bytes") as advance:
            variants = open_vcf(request.vcf, advance)
            return score_parts(job, variants, folder, pool, _nothing)
    variants, bases = saturated(str(request.bed), genome)
    with progress(bases, "scoring", "bases") as advance:
        return score_parts(job, variants, folder, pool, advance)


def _nothing(records: float) -> None:
    """Progress is told by the bytes read."""


def _refuse_another_genome(request: Request, tally: Tally) -> None:
    """Raise InputError when nothing was scored because no record is of this genome."""
    wrong = {reason: tally.refused[reason] for reason in OTHER_GENOME if reason in tally.refused}
    if not tally.scored and wrong:
        found = ", ".join(f"{count:,} {reason}" for reason, count in wrong.items())
        advice = "give the assembly that the variants were called on"
        raise InputError(f"{request.vcf}: no allele fits {request.fasta} ({found}): {advice}")


def _commit(whole: Path, out: str) -> None:
    if storage.is_local(out):
        with new_file(storage.local_path(out)) as path:
            whole.replace(path)
    else:
        storage.upload(whole, out)


def _body(job: Job, tally: Tally) -> dict[str, Any]:
    scored = tally.scored
    body: dict[str, Any] = {
        "records": tally.records,
        "alleles": scored,
        "context_length": job.geometry.context,
        "horizon": job.geometry.horizon,
        "method": job.method,
        "strands": 2,
        "refused": dict(sorted(tally.refused.items())),
        "contigs_renamed": tally.renamed,
        "seconds_per_thousand_alleles": round(1000 * tally.seconds / scored, 3) if scored else None,
    }
    return body | ({"labelled": judged(tally.labelled) | {"unlabelled": tally.unlabelled}} if job.labels else {})


def _folder_of(out: str) -> str:
    return str(storage.local_path(out).parent) if storage.is_local(out) else out.rpartition("/")[0]


def _resume_key(request: Request) -> str:
    """A hash of what the folder's genome is made of; every part has a checksum of all that it depends on."""
    path = storage.local_path(request.fasta) if storage.is_local(request.fasta) else None
    status = path.stat() if path and path.is_file() else None
    what = (hdna.__version__, request.fasta, status and (status.st_size, status.st_mtime_ns))
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
