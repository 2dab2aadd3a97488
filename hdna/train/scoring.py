"""The valid split's scores during training: at each context of a stage, and of the weights that a run begins with."""

import math
from dataclasses import replace

import torch

from hdna.data.curriculum import StagePlan
from hdna.data.stream import WindowReader
from hdna.evaluate.bits import Score, evaluation_crops, score
from hdna.model.filter_cache import MicroStep
from hdna.model.micro_batch import MicroBatch
from hdna.parallel import Mesh
from hdna.progress import told_progress
from hdna.run.events import Doing, Report
from hdna.run.files import BASELINES, read_json, write_json
from hdna.run.step_record import StepRecord
from hdna.train.engine import Engine
from hdna.train.source import SOURCE_BITS, SOURCE_CONTEXT
from hdna.train.step import micro_batch_nats


def score_at(
    engine: Engine, plan: StagePlan, windows: WindowReader, max_bases: int, mesh: Mesh, report: Report
) -> Score:
    """The engine's weights on the first `max_bases` bases of `windows`, at the plan's context; called by all ranks.

    `report` is told every few seconds how far it is.
    """
    crops = evaluation_crops(windows, plan.context_length, max_bases)
    rounds = math.ceil(len(crops) / (plan.micro_batch_size * mesh.data_parallel_size))
    what = f"evaluating at {plan.context_length:,}"

    def nats(micro_batch: MicroBatch) -> torch.Tensor:
        found = micro_batch_nats(engine, micro_batch, 0, MicroStep())
        advance(1)
        return found

    engine.train_mode(False)
    with told_progress(lambda text: report(Doing(text)), rounds, what, "batches") as advance:
        found = score(nats, windows, crops, plan.context_length, plan.micro_batch_size, mesh)
    engine.train_mode(True)
    return found


def with_scores(record: StepRecord, scores: list[tuple[int, Score]]) -> StepRecord:
    """The record with a stage's scores by context, the longest first; a context that no valid window fits has none."""
    (_, longest), *shorter = scores
    if shorter:
        by_context = {str(context): found.bits_per_base for context, found in scores if found.bases}
        record = replace(record, valid_bits_by_context=by_context or None)
    if not longest.bases:
        return record
    return replace(
        record, valid_loss=longest.loss, valid_bits_per_base=longest.bits_per_base, valid_bases=longest.bases
    )


def keep_source_score(run_url: str, found: Score, context_length: int) -> str:
    """Add the score of the weights that a run begins with to baselines.json; return a line about it."""
    begun = {SOURCE_BITS: found.bits_per_base, SOURCE_CONTEXT: context_length}
    write_json(run_url, BASELINES, read_json(run_url, BASELINES) | begun)
    return f"before the first step: {found.bits_per_base:.4f} valid bits per base, context {context_length:,}"
