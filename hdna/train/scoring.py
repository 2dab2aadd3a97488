"""Scores during training: of the valid split at each context of a stage, of the weights that a run begins with, and of
the test split at the end.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from hdna.data.curriculum import StagePlan
from hdna.data.stream import WindowReader
from hdna.evaluate.bits import Score, SetScore, score, total_of
from hdna.evaluate.markov import baselines, bases_read
from hdna.evaluate.scored_sets import ScoredSet
from hdna.model.filter_cache import MicroStep
from hdna.model.micro_batch import MicroBatch
from hdna.parallel import Mesh
from hdna.progress import told_progress
from hdna.run.events import Doing, Report
from hdna.run.files import BASELINES, TEST, read_json, write_json
from hdna.run.step_record import StepRecord
from hdna.train.engine import Engine
from hdna.train.source import SOURCE_BITS, SOURCE_CONTEXT
from hdna.train.step import micro_batch_nats


def score_at(
    engine: Engine, plan: StagePlan, windows: WindowReader, scored: Sequence[ScoredSet], mesh: Mesh, report: Report
) -> list[SetScore]:
    """The engine's weights on sets of `windows`, at the plan's context; called by all ranks.

    `report` is told every few seconds how far it is.
    """
    what = f"evaluating at {plan.context_length:,}"

    def nats(micro_batch: MicroBatch) -> torch.Tensor:
        found = micro_batch_nats(engine, micro_batch, 0, MicroStep())
        advance(1)
        return found

    engine.train_mode(False)
    with told_progress(lambda text: report(Doing(text)), None, what, "batches") as advance:
        found = score(nats, windows, scored, plan.context_length, plan.micro_batch_size, mesh)
    engine.train_mode(True)
    return found


def keep_baselines(
    run_url: str,
    train: WindowReader,
    valid: WindowReader,
    train_sets: Sequence[ScoredSet],
    valid_sets: Sequence[ScoredSet],
    report: Report,
) -> None:
    """Write baselines.json, unless a split has nothing to count; `report` is told every few seconds how far it is."""
    what, total = "counting the simple models", bases_read(train, train_sets) + bases_read(valid, valid_sets)
    report(Doing(f"{what}: {total:,} bases"))
    with told_progress(lambda text: report(Doing(text)), total, what, "bases") as advance:
        found = baselines(train, valid, train_sets, valid_sets, advance)
    if found:
        write_json(run_url, BASELINES, found.to_json())


def with_scores(record: StepRecord, scores: list[tuple[int, list[SetScore]]]) -> StepRecord:
    """The record with a stage's scores by context, the longest first; a context that no valid window fits has none."""
    totals = {context: total_of(sets) for context, sets in scores}
    if len(scores) > 1:
        by_context = {str(context): found.bits_per_base for context, found in totals.items() if found.bases}
        record = replace(record, valid_bits_by_context=by_context or None)
    context, sets = scores[0]
    if not (longest := totals[context]).bases:
        return record
    return replace(
        record,
        valid_loss=longest.loss,
        valid_bits_per_base=longest.bits_per_base,
        valid_bases=longest.bases,
        valid_sets=by_set(sets),
    )


def by_set(sets: Sequence[SetScore]) -> dict[str, dict[str, float | None]]:
    """The entries of sets of which something was scored."""
    return {one.name: one.to_json() for one in sets if one.unique.bases + one.repeats.bases}


def keep_source_score(run_url: str, found: Score, context_length: int) -> str:
    """Add the score of the weights that a run begins with to baselines.json; return a line about it."""
    begun = {SOURCE_BITS: found.bits_per_base, SOURCE_CONTEXT: context_length}
    write_json(run_url, BASELINES, read_json(run_url, BASELINES) | begun)
    return f"before the first step: {found.bits_per_base:.4f} valid bits per base, context {context_length:,}"


def keep_test_score(run_url: str, sets: Sequence[SetScore], context_length: int) -> str:
    """Write test.json; return a line about it."""
    found = total_of(sets)
    about = {"bits_per_base": found.bits_per_base, "bases": found.bases, "context_length": context_length}
    write_json(run_url, TEST, about | {"sets": by_set(sets)})
    return f"test split: {found.bits_per_base:.4f} bits per base of {found.bases:,} bases, context {context_length:,}"
