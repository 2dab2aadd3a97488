"""The form of benefits.json, which the page is written from.

The sentence below each field is its description in the published schema (benefits.schema.json, made by schema.py).
"""

from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from hdna.downstream.benefits.bodies import Attention, Context, Embedding, FirstResult, Needle, Variants
from hdna.downstream.benefits.task_body import CurvePoint, LabelsSaved, Task
from hdna.downstream.bootstrap import Estimate
from hdna.storage.untrusted_json import Count, Sha256

FORMAT: Final = "hdna-benefits"
VERSION: Final = 1
T = TypeVar("T")

Benefit = Literal[
    "predictive_performance",
    "less_labelled_data",
    "simpler_deployment",
    "emergent_uses",
    "multimodality",
    "human_interface",
]
Work = Literal["pretrained", "adapted", "scored", "embedded"]


@dataclass(frozen=True)
class Judged:
    """The checkpoint that the report is about."""

    url: str
    """Of the checkpoint, even if a run was named."""
    step: Count
    """Optimizer steps done."""
    tokens: Count
    """Seen in pretraining; 0 for an import, which does not say."""
    checksum: Sha256
    """sha256 of the checkpoint's manifest: what identifies the weights."""
    parameters: Count
    """Of the model."""
    longest_context: Count
    """Bases; no sequence may be longer."""
    device: str
    """The run's, or else that of the first evidence: figures of others are marked. Empty: unknown."""


@dataclass(frozen=True)
class Source:
    """A file of evidence, and what it took to make it."""

    file: str
    """Its name below the report's folder."""
    kind: str
    """context, task, variants, embed, needle, first_result or attention."""
    date: str
    """UTC; empty: not stated."""
    device: str
    """Where it was made."""
    other_device: bool
    """Whether that is another device than the checkpoint's: times and memory are not comparable."""
    hdna: str
    """Version that made it; empty: not stated."""
    dtype: str
    """Precision; empty: not stated."""
    seconds: float | None
    """Wall time."""
    bases: Count
    """That the work was done on."""
    peak_memory_bytes: Count
    """Of the process, or of the GPU if there was one; 0: not measured."""


@dataclass(frozen=True)
class Found(Generic[T]):
    """What a file says."""

    source: Source
    """The file."""
    body: T
    """Its content, as far as this report reads it."""


@dataclass(frozen=True)
class OtherWeights:
    """Evidence about other weights: not counted."""

    file: str
    """Its name below the report's folder."""
    kind: str
    """Of evidence."""
    checksum: Sha256
    """Of the weights that it is about."""


@dataclass(frozen=True)
class Comparison:
    """The judged model and one baseline on one task, by the task's main figure of quality."""

    task: str
    """Its name."""
    method: str
    """How the model learned it."""
    baseline: str
    """The other model."""
    metric: str
    """The figure of quality that decides the task; higher is better."""
    model: Estimate
    """The judged model's."""
    other: Estimate
    """The baseline's."""
    difference: Estimate
    """Judged minus baseline, resampled in pairs."""
    winner: Literal["model", "baseline", "undecided"]
    """undecided: the interval of the difference holds 0, or there is none."""


@dataclass(frozen=True)
class LabelCurve:
    """Pretrained and from scratch, over the number of labels."""

    task: str
    """Its name."""
    method: str
    """How the model learned it."""
    metric: str
    """The figure of quality."""
    points: list[CurvePoint]
    """By number of labels."""
    saved: LabelsSaved | None
    """Labels saved at equal quality; null where the evidence does not say."""


@dataclass(frozen=True)
class Performance:
    """Benefit 1."""

    context: list[Found[Context]]
    """Bits per base against context length."""
    valid_bits_per_base: float | None
    """Of the checkpoint on the valid split of its run, as the run scored it last."""
    markov_bits_per_base: float | None
    """Of an order-5 Markov model on the same split."""
    tasks: list[Found[Task]]
    """Labelled tasks."""
    comparisons: list[Comparison]
    """With every baseline of every task."""


@dataclass(frozen=True)
class Price:
    """What a piece of work took; per megabase where it was done on bases."""

    work: str
    """In words."""
    kind: Work
    """What was done to the bases."""
    file: str
    """The evidence; metrics.jsonl: the run's own."""
    seconds: float
    """Wall time."""
    device_seconds: float
    """Of all devices together."""
    bases: Count
    """Tokens, of pretraining."""
    seconds_per_megabase: float | None
    """device_seconds / bases * 1e6."""
    peak_memory_bytes: Count
    """0: not measured."""
    price: float | None
    """Of all of it, at price_per_hour; null without that, and for another device, whose price may be another."""
    price_per_megabase: float | None
    """Likewise."""
    device: str
    """Where it was done."""
    other_device: bool
    """Whether that is another device than the checkpoint's."""
    date: str
    """UTC."""


@dataclass(frozen=True)
class Deployment:
    """Benefit 3."""

    parameters: Count
    """Of the model."""
    weights_bytes: Count
    """In fp32."""
    price_per_hour: float | None
    """Of one device, as given, in the user's currency."""
    costs: list[Price]
    """Pretraining, adapting, scoring and embedding, as measured."""
    least_memory_bytes: Count | None
    """The smallest peak of the work that scored or embedded: the least that the model was seen to run in."""
    embedding: list[Found[Embedding]]
    """Throughput, and a genome of 3 gigabases extrapolated from it."""
    attention: list[Found[Attention]]
    """The architecture against a Transformer."""


@dataclass(frozen=True)
class Emergent:
    """Benefit 4."""

    variants: list[Found[Variants]]
    """Scored without having been trained for it."""
    in_context: list[Found[Task]]
    """Tasks learned from what the model reads, by soft prompts or labels in context."""
    needle: list[Found[Needle]]
    """Whether it uses what it read far back."""


@dataclass(frozen=True)
class Modality:
    """Benefit 5."""

    applicable: bool
    """False: the model reads DNA alone."""
    accepts: list[str]
    """Kinds of input."""


@dataclass(frozen=True)
class Missing:
    """Evidence that there is not: nothing is concluded where it would be needed."""

    benefit: Benefit
    """That it belongs to."""
    what: str
    """In words."""
    command: str
    """That would make it."""


@dataclass(frozen=True)
class Benefits:
    """The benefit report of one checkpoint, under the six heads of Wornow et al. (arXiv 2303.12961)."""

    format: Literal["hdna-benefits"]
    """Of this file."""
    version: Literal[1]
    """Of the format."""
    hdna: str
    """Version that wrote the report."""
    subject: Judged
    """The checkpoint."""
    verdict: list[str]
    """What the evidence amounts to, in plain words."""
    predictive_performance: Performance
    """1. Is it right, and more often than simpler models?"""
    less_labelled_data: list[LabelCurve]
    """2. Does it need fewer labels than a model from scratch?"""
    simpler_deployment: Deployment
    """3. What does it take to make and use it?"""
    emergent_uses: Emergent
    """4. What can it do that it was not trained for?"""
    multimodality: Modality
    """5. What does it accept beyond sequence?"""
    human_interface: list[Found[FirstResult]]
    """6. What does a user have to do for a first result?"""
    missing: list[Missing]
    """Evidence that there is not."""
    evidence: list[Source]
    """Every file that counts."""
    other_weights: list[OtherWeights]
    """Files that do not, because they are about other weights."""
