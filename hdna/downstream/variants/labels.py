"""Labels of alleles in a VCF's INFO, and how well the scores tell them apart."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hdna.downstream.bootstrap import DRAWS, estimate
from hdna.downstream.metrics import Floats, Ints, auprc, auroc
from hdna.downstream.variants.alleles import KINDS
from hdna.downstream.variants.vcf import Variants
from hdna.errors import InputError

_VALUES = {
    b"1": 1, b"0": 0,
    b"pathogenic": 1, b"likely_pathogenic": 1, b"pathogenic/likely_pathogenic": 1,
    b"benign": 0, b"likely_benign": 0, b"benign/likely_benign": 0,
}  # fmt: skip
"""What is a label: 1 or 0, or ClinVar's CLNSIG in any case; whatever else is none."""
_ROWS_DRAWN, _FEWEST_DRAWS = 50_000_000, 100
"""Of a bootstrap: all of ClinVar's alleles a thousand times would take hours."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A scored allele with a label."""

    contig: str
    kind: str
    label: int
    ratio: float


def refuse_undefined(variants: Variants, key: str) -> None:
    """Raise InputError when the header does not define the INFO key."""
    start = f"##INFO=<ID={key},".encode()
    if not any(line.startswith(start) for line in variants.header):
        raise InputError(f"--labels {key}: {variants.name} defines no INFO entry of this name: see its header")


def labels_of(info: bytes, key: str, alleles: int) -> list[int | None]:
    """The label of each allele of a record: one value for all of them, or one for each."""
    start = f"{key}=".encode()
    for entry in info.split(b";"):
        if entry.startswith(start):
            values = [_VALUES.get(value.lower()) for value in entry[len(start) :].split(b",")]
            if len(values) == 1:
                return values * alleles
            return values if len(values) == alleles else [None] * alleles
    return [None] * alleles


def judged(rows: Sequence[Labelled]) -> dict[str, Any]:
    """AUROC and AUPRC of the negative ratio, of all alleles and by kind, with intervals by whole chromosomes."""
    return _figures(rows) | {"by_class": {kind: _figures([r for r in rows if r.kind == kind]) for kind in KINDS}}


def _figures(rows: Sequence[Labelled]) -> dict[str, Any]:
    truth: Ints = np.array([row.label for row in rows], np.int64)
    score: Floats = -np.array([row.ratio for row in rows], np.float64)
    _, groups = np.unique([row.contig for row in rows], return_inverse=True)
    draws = min(DRAWS, max(_FEWEST_DRAWS, _ROWS_DRAWN // max(1, len(rows))))
    return {
        "auroc": asdict(estimate(lambda drawn: auroc(truth[drawn], score[drawn]), groups, draws)),
        "auprc": asdict(estimate(lambda drawn: auprc(truth[drawn], score[drawn]), groups, draws)),
        "positives": int(truth.sum()),
        "negatives": int((1 - truth).sum()),
        "chromosomes": len(set(groups.tolist())),
    }
