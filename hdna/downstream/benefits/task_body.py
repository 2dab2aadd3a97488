"""What the report reads of the evidence of `hdna eval task`; entries that it does not know are left out.

The sentence below each field is its description in the published schema.
"""

from dataclasses import dataclass, field

from hdna.downstream.bootstrap import Estimate
from hdna.storage.untrusted_json import Count

Metrics = dict[str, Estimate]


@dataclass(frozen=True)
class Baseline:
    """Another model on the same rows."""

    metrics: Metrics
    """Its figures of quality."""
    difference: Metrics = field(default_factory=dict)
    """The judged model's figures minus its own, resampled in pairs."""


@dataclass(frozen=True)
class CurvePoint:
    """Quality after learning from so many labels."""

    labels: Count
    """Labelled rows that were learned from."""
    pretrained: Estimate
    """Beginning with the judged weights."""
    scratch: Estimate
    """The same architecture beginning with random weights."""
    difference: Estimate
    """Pretrained minus scratch, resampled in pairs."""


@dataclass(frozen=True)
class LabelsSaved:
    """What pretraining is worth in labels."""

    quality_of: str
    """The quality that is to be reached."""
    share: Estimate
    """Of all labels that the pretrained model can do without; null where it is not as good with any number."""


@dataclass(frozen=True)
class Stratum:
    """A part of the test rows."""

    rows: Count
    """In it."""
    metrics: dict[str, Metrics] = field(default_factory=dict)
    """Figures by method; the judged model's has the task's method as its name."""


@dataclass(frozen=True)
class Bin:
    """Predictions of about the same confidence."""

    rows: Count
    """In it."""
    confidence: float | None
    """Their mean."""
    right: float | None
    """Share that is right: the same as the confidence, of a model that is calibrated."""


@dataclass(frozen=True)
class Leak:
    """Test rows that were seen before."""

    rows: Count
    """Test rows."""
    found: dict[str, Count] | None
    """Rows found, letter by letter (exact) and by identity of at least so much; null: not compared."""
    rows_without: Count | None = None
    """Rows that are left without those found."""
    metrics_without: Metrics | None = None
    """Figures of quality of those rows."""
    differences_without: dict[str, Metrics] | None = None
    """Judged minus baseline on those rows, by baseline."""
    reason: str = ""
    """Why it was not compared."""


@dataclass(frozen=True)
class Task:
    """From `hdna eval task`."""

    task: str
    """Its name."""
    kind: str
    """single_label, multi_label, regression or per_base."""
    method: str
    """How the model learned it: probe, finetune, soft_prompt or in_context."""
    metrics: Metrics
    """Figures of quality on the test rows."""
    main: str = ""
    """The one that decides."""
    rows: dict[str, Count] = field(default_factory=dict)
    """Rows of train, valid and test."""
    baselines: dict[str, Baseline] = field(default_factory=dict)
    """Other models on the same rows, by name."""
    leaks: dict[str, Leak] = field(default_factory=dict)
    """Test rows that were seen in the train part (train_test), or in the pretraining set (pretraining_test)."""
    calibration: list[Bin] = field(default_factory=list)
    """Bins of confidence, evenly wide."""
    learning_curve: list[CurvePoint] = field(default_factory=list)
    """Quality over the number of labels."""
    labels_saved: LabelsSaved | None = None
    """Read off that curve."""
    strata: dict[str, dict[str, Stratum]] = field(default_factory=dict)
    """Parts of the test rows, by what they are told apart by: chromosome, GC, length, species."""
