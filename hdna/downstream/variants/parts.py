"""A VCF cut into parts, scored in order by a pool, and put together again."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from hdna.downstream.variants import bgzf
from hdna.downstream.variants.finished import FinishedParts
from hdna.downstream.variants.info import scored_header
from hdna.downstream.variants.part import Job, Origin, Tally, score_part
from hdna.downstream.variants.vcf import Lines, Variants
from hdna.progress import Advance
from hdna_prep.pool import Pool, in_order

RECORDS = 2_000
_BYTES = 1 << 25
"""Of records with very many genotypes, a part has fewer."""

Part = list[tuple[int, bytes]]


def score_parts(job: Job, variants: Variants, folder: Path, pool: Pool, advance: Advance) -> Tally:
    """Score all records and write the VCF `folder`/whole; what an interrupted command left there is not scored again.

    `advance` is called with the records done. Raises InputError for a malformed record.
    """
    finished, total, count = FinishedParts(folder / "parts"), Tally(), 0
    for tally in in_order(pool, _started(job, variants, finished, pool)):
        total.merge(tally)
        count += 1
        advance(tally.records)
    with (folder / "whole").open("wb") as whole:
        whole.write(bgzf.compressed(scored_header(variants.header, job.weights, job.geometry, job.method)))
        finished.copy(range(count), whole)
        whole.write(bgzf.END)
    return total


def _started(job: Job, variants: Variants, finished: FinishedParts, pool: Pool) -> Iterator[Callable[[], Tally]]:
    origin = Origin(variants.name, variants.columns)
    for number, lines in enumerate(_parts(variants.records)):
        key = job.key(lines)
        tally = finished.take(number, key)
        if tally is not None:
            yield partial(_as_it_is, tally)
        else:
            yield partial(_put, finished, number, key, pool.submit(score_part, job, origin, lines))


def _as_it_is(tally: Tally) -> Tally:
    return tally


def _put(finished: FinishedParts, number: int, key: str, scored: Callable[[], tuple[bytes, Tally]]) -> Tally:
    blocks, tally = scored()
    finished.put(number, key, blocks, tally)
    return tally


def _parts(records: Lines) -> Iterator[Part]:
    part: Part = []
    size = 0
    for number, line in records:
        part.append((number, line))
        size += len(line)
        if len(part) == RECORDS or size >= _BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
