"""`hdna eval context`: does longer context help? Bits per base of the same bases at every context length."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from hdna.downstream.context_score import Tally, score_blocks
from hdna.downstream.evidence import Cost, measured
from hdna.downstream.held_out import open_held_out, window_lengths
from hdna.downstream.subject import Subject, load_subject
from hdna.downstream.target_blocks import TargetBlocks, choose_blocks
from hdna.parallel import Mesh, shard_sequence
from hdna.progress import Show, progress, told_progress


@dataclass(frozen=True)
class ContextQuestion:
    """What is scored."""

    shards: tuple[str, ...]
    """URLs of shard sets; none: those of the run."""
    split: str | None
    """None: test if all sets have it, else valid."""
    longest: int | None
    """Longest context; None: the model's l_max."""
    max_bases: int
    """Scored at each context, of all sets together."""


@dataclass(frozen=True)
class ContextScores:
    """What was scored, and how it went."""

    split: str
    names: list[str]
    """Of the shard sets."""
    blocks: list[TargetBlocks]
    """Of each set, all of the same contexts."""
    tallies: list[Tally]
    cost: Cost


def score_contexts(subject: Subject, question: ContextQuestion, mesh: Mesh, show: Show = progress) -> ContextScores:
    """Score a model, which `shard_sequence` has sharded for the mesh; called by all ranks, each gets all of it.

    Raises InputError when the sets are missing or damaged, or have no windows that are long enough.
    """
    held_out = open_held_out(subject.config, question.shards, question.split)
    l_max, readers = subject.config.model.l_max, held_out.readers
    longest = min(l_max, question.longest or l_max)
    blocks = choose_blocks(list(map(window_lengths, readers)), longest, question.max_bases // len(readers))
    positions = sum(own.positions for own in blocks)
    with measured(subject.device) as cost, show(positions, "scoring", "positions") as advance:
        cost.bases = positions
        tallies = [
            score_blocks(subject.model, reader, own, mesh, subject.device, advance)
            for reader, own in zip(readers, blocks, strict=True)
        ]
    return ContextScores(held_out.split, held_out.names, blocks, tallies, cost)


def score_contexts_on_ranks(
    run: str, question: ContextQuestion, mesh: Mesh, device: torch.device, tell: Callable[[str], None]
) -> ContextScores:
    """The same on ranks that share samples, each of which loads the weights; called by all of them."""
    subject = load_subject(run, device)
    shard_sequence(subject.model, mesh, subject.config.parallel.long_conv)
    return score_contexts(subject, question, mesh, partial(told_progress, tell))
