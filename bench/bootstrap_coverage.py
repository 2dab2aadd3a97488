"""How often do the 95 % intervals of hdna.downstream.bootstrap hold the true figure? Simulated; 93 to 97 % is wanted.

Rows are drawn from a population whose figure is known: in closed form, or of a million rows. Of each number of rows and
groups, so many samples are drawn, each with an interval of its own; one standard error of a share of 95 % of 1,000
samples is 0.7 %.

Example: python bench/bootstrap_coverage.py --samples 1000
"""

import argparse
import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from hdna.downstream import metrics
from hdna.downstream.bootstrap import estimate

Sample = tuple[metrics.Ints, metrics.Floats, metrics.Floats, metrics.Ints]
"""True classes, scores, scores with noise of their own, groups."""
CASES = (
    (100, 100, 0.0),
    (300, 300, 0.0),
    (1000, 1000, 0.0),
    (600, 12, 0.05),
    (1200, 24, 0.05),
    (1200, 24, 0.5),
)
"""Rows, groups, and what the rows of a group share of the scores' variance."""
SHIFT = 1.0
"""Positive rows score N(SHIFT, 1), the others N(0, 1)."""


def sample(rng: np.random.Generator, rows: int, groups: int, shared: float) -> Sample:
    """Rows of two classes; those of a group share a shift, which has so much of the scores' variance."""
    truth = (rng.random(rows) < 0.3).astype(np.int64)
    group = np.arange(rows) % groups
    noise = math.sqrt(1 - shared) * rng.normal(size=rows) + math.sqrt(shared) * rng.normal(size=groups)[group]
    score = truth * SHIFT + noise
    return truth, score, score + rng.normal(size=rows), group


def figures(drawn: Sample) -> dict[str, Callable[[metrics.Ints], float]]:
    """Figures of rows by their numbers."""
    truth, score, noisy, _ = drawn
    guess = (score > SHIFT / 2).astype(np.int64)
    return {
        "AUROC": lambda rows: metrics.auroc(truth[rows], score[rows]),
        "AUPRC": lambda rows: metrics.auprc(truth[rows], score[rows]),
        "MCC": lambda rows: metrics.mcc(truth[rows], guess[rows], 2),
        "accuracy": lambda rows: metrics.accuracy(truth[rows], guess[rows]),
        "Spearman": lambda rows: metrics.spearman(score[rows], noisy[rows]),
        "AUROC - AUROC": lambda rows: metrics.auroc(truth[rows], score[rows]) - metrics.auroc(truth[rows], noisy[rows]),
    }


def truths() -> dict[str, float]:
    """The figures of a million rows; AUROC and accuracy have closed forms, which these must agree with."""
    whole = sample(np.random.default_rng(1), 1_000_000, 1_000_000, 0.0)
    found = {name: figure(np.arange(1_000_000)) for name, figure in figures(whole).items()}
    normal = NormalDist()
    assert abs(found["AUROC"] - normal.cdf(SHIFT / math.sqrt(2))) < 2e-3
    assert abs(found["accuracy"] - normal.cdf(SHIFT / 2)) < 2e-3
    return found


def main() -> None:
    """Print a row for each number of rows and groups.

    Groups that are much alike have a second fault, which no interval mends: in a sample, more pairs of rows are of one
    group than in the population, so that the AUROC itself is biased.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000, help="of each row (default 1,000)")
    args = parser.parse_args()
    true = truths()
    print(f"{'rows':>6} {'groups':>6} {'shared':>6} " + " ".join(f"{name:>13}" for name in true))
    for rows, groups, shared in CASES:
        held = dict.fromkeys(true, 0)
        for number in range(args.samples):
            drawn = sample(np.random.default_rng([rows, groups, number]), rows, groups, shared)
            for name, figure in figures(drawn).items():
                found = estimate(figure, drawn[3], draws=500, seed=number)
                held[name] += found.low is not None and found.high is not None and found.low <= true[name] <= found.high
        shares = " ".join(f"{count / args.samples:13.1%}" for count in held.values())
        print(f"{rows:6} {groups:6} {shared:6.0%} {shares}", flush=True)


if __name__ == "__main__":
    main()
