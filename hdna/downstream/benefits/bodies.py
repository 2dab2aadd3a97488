"""What the report reads of each kind of evidence, tasks apart; entries that it does not know are left out.

The sentence below each field is its description in the published schema.
"""

from dataclasses import dataclass, field
from typing import Any

from hdna.downstream.benefits.task_body import Metrics
from hdna.storage.untrusted_json import Count


@dataclass(frozen=True)
class ContextRow:
    """Bits per base at one context length, with a 95 % interval; null where nothing was scored."""

    context_length: Count
    """Bases that the model read, the targets included."""
    bits_per_base: float | None
    """Of all targets."""
    low: float | None = None
    """Lower end of the interval."""
    high: float | None = None
    """Upper end of the interval."""
    bases: Count = 0
    """Targets scored."""
    repeat_bits_per_base: float | None = None
    """Of soft-masked targets alone."""
    unique_bits_per_base: float | None = None
    """Of the others alone."""


@dataclass(frozen=True)
class ContextSet:
    """The same for one shard set."""

    name: str
    """Of the set."""
    contexts: list[ContextRow]
    """A row for each context length."""


@dataclass(frozen=True)
class Context:
    """From `hdna eval context`: the same targets at every context length."""

    split: str
    """That the targets are of."""
    contexts: list[ContextRow]
    """A row for each context length."""
    target_bases: Count = 0
    """Targets at each length."""
    verdict: str = ""
    """Whether longer context helps, in words."""
    difference: Metrics = field(default_factory=dict)
    """Bits per base at the longest context minus those at the shortest, in pairs: all, repeat and unique."""
    sets: list[ContextSet] = field(default_factory=list)
    """Each shard set apart."""


@dataclass(frozen=True)
class Variants:
    """From `hdna eval variants`."""

    alleles: Count
    """Scored."""
    context_length: Count
    """Bases before a variant."""
    horizon: Count
    """Bases after it."""
    method: str = ""
    """differences, or full passes."""
    strands: Count = 0
    """That scores are averaged over."""
    refused: dict[str, Count] = field(default_factory=dict)
    """Alleles that were set apart, by reason."""
    labelled: dict[str, Any] | None = None
    """Figures of quality where labels were given, also by class of variant."""
    controls: dict[str, Any] | None = None
    """The same of controls that should score differently, or not at all."""
    seconds_per_thousand_alleles: float | None = None
    """As measured."""


@dataclass(frozen=True)
class Embedding:
    """From `hdna eval embed`."""

    sequences: Count
    """Embedded."""
    bases: Count
    """In them."""
    pool: str = ""
    """mean: a vector for each sequence; none: one for each base."""
    megabases_per_second: float | None = None
    """As measured."""
    hours_for_3_gigabases: float | None = None
    """Extrapolated from it."""


@dataclass(frozen=True)
class NeedleRow:
    """Copies at one distance."""

    distance: Count
    """Bases from a unit to its copy."""
    copies: Count
    """Scored."""
    bits_per_base: float | None
    """Of the copy."""
    control_bits_per_base: float | None
    """Of the copy after a shuffled unit."""
    gain: float | None
    """Control minus copy: above 0, the model used what it read."""
    low: float | None = None
    """Lower end of the gain's interval."""
    high: float | None = None
    """Upper end of the gain's interval."""


@dataclass(frozen=True)
class Needle:
    """From `hdna eval needle`."""

    distances: list[NeedleRow]
    """A row for each distance."""
    unit_bases: Count = 0
    """Length of what is copied."""
    verdict: str = ""
    """How far back the model copies from, in words."""


@dataclass(frozen=True)
class Command:
    """A command of a first hour."""

    command: str
    """As typed."""
    seconds: float
    """That it took."""


@dataclass(frozen=True)
class Mistake:
    """A mistake that newcomers make, made on purpose."""

    mistake: str
    """In words."""
    status: int
    """Exit status of the command."""
    message: str
    """What it said."""
    lines: Count
    """Of the message."""


@dataclass(frozen=True)
class FirstResult:
    """From `bench/first_result.py`: from a FASTA file to a first evaluated result."""

    genome_bases: Count
    """Of the FASTA file."""
    seconds: float
    """Of all commands together."""
    commands: list[Command]
    """In order."""
    edits: Count
    """Values that the user had to give, file names included."""
    yaml_lines: Count
    """Lines of a recipe that the user had to change."""
    valid_bits_per_base: float | None = None
    """The first result."""
    markov_bits_per_base: float | None = None
    """Of an order-5 Markov model, beside it."""
    mistakes: list[Mistake] = field(default_factory=list)
    """And what was said to each."""


@dataclass(frozen=True)
class AttentionSetting:
    """What was compared."""

    width: Count
    """d_model of both."""
    layers: Count
    """Of both."""
    bf16: bool = False
    """Else fp32."""


@dataclass(frozen=True)
class AttentionRow:
    """A forward and backward pass at one context length; null where memory, or patience, ended."""

    context_length: Count
    """Of one sample."""
    hyena_seconds: float | None
    """Of HyenaDNA."""
    attention_seconds: float | None
    """Of a Transformer of the same depth and width."""
    ratio: float | None
    """How many times as long attention takes."""
    attention: str = ""
    """Which implementation."""


@dataclass(frozen=True)
class Attention:
    """From `hdna bench attention`: the architecture against a Transformer; not with the judged weights."""

    device: str
    """Where it was measured."""
    setting: AttentionSetting
    """What was compared."""
    rows: list[AttentionRow]
    """A row for each context length."""
    date: str = ""
    """UTC; empty where an earlier version wrote none."""
