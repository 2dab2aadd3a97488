"""How many labels a method needs: its quality over label counts beside that of the same architecture from scratch.

Of n labels a fifth are for choices (early stopping), the rest to learn from, so that n counts every label that was
looked at. Smaller parts are within larger ones; of classes they have the same shares as the whole.
Shapes: N rows, P label counts, D draws.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from hdna.downstream.bootstrap import draw, interval
from hdna.downstream.metrics import Floats, Ints
from hdna.downstream.tasks.figures import Figure, judged
from hdna.downstream.tasks.judgement import draws_for
from hdna.downstream.tasks.problem import Method, Problem, Rows

FEWEST_LABELS = 32
VALID_SHARE = 0.2
SEEDS, SEEDS_UP_TO = 3, 512
"""Counts of so few labels are tried with several parts of the rows, because which rows it is matters."""

Say = Callable[[str], None]
"""Called with a line about what is done."""


def label_counts(rows: int) -> list[int]:
    """Doubling from FEWEST_LABELS, then all."""
    counts = [FEWEST_LABELS << power for power in range(64) if FEWEST_LABELS << power < rows]
    return [*counts, rows]


def learning_curve(problem: Problem, pretrained: Method, scratch: Method, figure: Figure, say: Say) -> dict[str, Any]:
    """{"learning_curve": [{"labels", "seeds", "pretrained", "scratch", "difference"}], "labels_saved": {...}}."""
    counts = label_counts(len(problem.train) + len(problem.valid))
    scores = []
    for count in counts:
        say(f"learning curve: {count:,} of {counts[-1]:,} labels")
        scores.append(_scores(problem, (pretrained, scratch), count))
    what = judged(problem, problem.test)
    taken = [[[own[what.taken] for own in seeds] for seeds in both] for both in scores]

    def figures(rows: Ints) -> Floats:
        """Pretrained at each count, then scratch at each: means over seeds."""
        labels = what.labels[rows]
        means = [[np.mean([figure(labels, own[rows]) for own in seeds]) for seeds in both] for both in taken]
        return np.array(means).T.ravel()

    drawn = draw(figures, what.groups_R, draws_for(what.labels.size * 2 * SEEDS))
    (one_P, two_P), half = drawn.values_F.reshape(2, -1), len(counts)
    one_DP, two_DP = drawn.found_DF[:, :half], drawn.found_DF[:, half:]
    points = []
    for at, count in enumerate(counts):
        point: dict[str, Any] = {"labels": count, "seeds": _seeds(count)}
        for name, value_P, found_DP in (
            ("pretrained", one_P, one_DP),
            ("scratch", two_P, two_DP),
            ("difference", one_P - two_P, one_DP - two_DP),
        ):
            point[name] = asdict(interval(float(value_P[at]), found_DP[:, at], drawn.groups))
        points.append(point)
    share = np.array([saved_share(counts, *both) for both in zip(one_DP, two_DP, strict=True)])
    saved = asdict(interval(saved_share(counts, one_P, two_P), share, drawn.groups))
    return {"learning_curve": points, "labels_saved": {"quality_of": "scratch with all labels", "share": saved}}


def saved_share(counts: Sequence[int], pretrained_P: Floats, scratch_P: Floats) -> float:
    """The share of all labels that the pretrained method can do without and be as good as scratch with all of them.

    Interpolated between counts by the logarithm of labels; 1 - the smallest count / all if that is enough already. NaN
    where it is not as good with any count.
    """
    wanted = scratch_P[-1]
    reached = np.flatnonzero(pretrained_P >= wanted)
    if not reached.size:
        return math.nan
    at = int(reached[0])
    if at == 0:
        return 1 - counts[0] / counts[-1]
    below, above = pretrained_P[at - 1], pretrained_P[at]
    part = (wanted - below) / (above - below)
    needed = math.exp((1 - part) * math.log(counts[at - 1]) + part * math.log(counts[at]))
    return 1 - needed / counts[-1]


def nested_order(problem: Problem, rows: Rows, seed: int) -> Ints:
    """(N,) an order whose every beginning has the classes in the shares of the whole, as nearly as can be."""
    rng = np.random.default_rng(seed)
    if problem.kind != "single_label":
        return rng.permutation(len(rows))
    place = np.empty(len(rows))
    for name in np.unique(rows.labels):
        own = rng.permutation(np.flatnonzero(rows.labels == name))
        place[own] = (np.arange(len(own)) + rng.random()) / len(own)
    return np.argsort(place)


def _seeds(count: int) -> int:
    return SEEDS if count <= SEEDS_UP_TO else 1


def _scores(problem: Problem, methods: Sequence[Method], count: int) -> list[list[Floats]]:
    """The test rows' scores by each method and seed, from so many labels."""
    found: list[list[Floats]] = [[] for _ in methods]
    for seed in range(_seeds(count)):
        train, valid = _part(problem, count, seed)
        for method, own in zip(methods, found, strict=True):
            own.append(method(problem, train, valid, problem.test))
    return found


def _part(problem: Problem, count: int, seed: int) -> tuple[Rows, Rows]:
    if count == len(problem.train) + len(problem.valid):
        return problem.train, problem.valid
    valid = min(round(count * VALID_SHARE), len(problem.valid))
    train = min(count - valid, len(problem.train))
    return (
        problem.train.take(nested_order(problem, problem.train, seed)[:train]),
        problem.valid.take(nested_order(problem, problem.valid, seed)[: count - train]),
    )
