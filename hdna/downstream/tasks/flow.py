"""`hdna eval task`, overall: a method and its baselines on one labelled set, and what the evidence says of them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hdna.downstream.evidence import Cost, measured
from hdna.downstream.metrics import Floats
from hdna.downstream.subject import Subject
from hdna.downstream.tasks.figures import MAIN, Figure, Judged, figures_of, judged
from hdna.downstream.tasks.judgement import calibration, compare
from hdna.downstream.tasks.labelled_set import LabelledSet
from hdna.downstream.tasks.leaks import Leaks, leaks_from_rows, leaks_from_sets
from hdna.downstream.tasks.learning_curve import Say, learning_curve
from hdna.downstream.tasks.pretraining_sets import pretraining_sets, trained_before
from hdna.downstream.tasks.problem import Method, Problem
from hdna.downstream.tasks.strata import strata
from hdna.errors import InputError


@dataclass(frozen=True)
class Methods:
    """What is judged, and what it is judged against."""

    name: str
    pretrained: Method
    baselines: Mapping[str, Method]
    """By their names in the evidence."""
    scratch: Method | None = None
    """What a learning curve compares with; None: no curve is asked for."""


@dataclass(frozen=True)
class Protocol:
    """How a set is judged."""

    top: int | None = None
    """K of recall at K; by default a tenth of the test rows."""
    metric: str | None = None
    """The main figure; by default that of the kind."""
    label_groups: Mapping[str, slice] = field(default_factory=dict)
    """Labels whose median AUROC is reported."""


def judge(
    subject: Subject, made: LabelledSet, methods: Methods, protocol: Protocol, say: Say
) -> tuple[dict[str, Any], Cost]:
    """The body of task.json, and what the method itself took."""
    problem, what = made.problem, judged(made.problem, made.problem.test)
    top = protocol.top or max(1, len(problem.test) // 10)
    main = protocol.metric or MAIN[problem.kind]
    figures = figures_of(problem, top, protocol.label_groups)
    scores, seconds, cost = _score(subject, problem, methods, say)
    found = compare(what, scores, figures)
    leaks = _leaks(subject, problem, what, scores, figures, say)
    curve: dict[str, Any] = {"learning_curve": []}
    if methods.scratch is not None:
        curve = learning_curve(problem, methods.pretrained, methods.scratch, figures[main], say)
    body = {
        "task": problem.name,
        "kind": problem.kind,
        "method": methods.name,
        "names": list(problem.names),
        "main": main,
        "k": top,
        "draws": found["draws"],
        "resampled": "rows" if made.chromosomes is None else "chromosomes",
        "rows": {split: len(getattr(problem, split)) for split in ("train", "valid", "test")},
        "set_apart": len(made.apart),
        "notes": made.notes,
        "metrics": found["metrics"][methods.name],
        "baselines": {
            name: {"metrics": found["metrics"][name], "difference": found["differences"][name]}
            for name in methods.baselines
        },
        "leaks": leaks,
        "calibration": [] if problem.kind == "regression" else calibration(problem.kind, what, scores[methods.name]),
        "strata": strata(problem.test, made.chromosomes, what, scores, {main: figures[main]}),
        "seconds": seconds,
    }
    return body | curve, cost


def _score(
    subject: Subject, problem: Problem, methods: Methods, say: Say
) -> tuple[dict[str, Floats], dict[str, float], Cost]:
    """The test rows' scores by every method, what each took, and the cost of the first."""
    scores, seconds = dict[str, Floats](), dict[str, float]()

    def run(name: str, method: Method) -> None:
        began = time.monotonic()
        scores[name] = method(problem, problem.train, problem.valid, problem.test)
        seconds[name] = round(time.monotonic() - began, 2)
        say(f"{name}: {seconds[name]:.0f} s")

    with measured(subject.device) as cost:
        run(methods.name, methods.pretrained)
        cost.bases = sum(len(own) for rows in (problem.train, problem.valid, problem.test) for own in rows.tokens)
    for name, method in methods.baselines.items():
        run(name, method)
    return scores, seconds, cost


def _leaks(
    subject: Subject,
    problem: Problem,
    what: Judged,
    scores: Mapping[str, Floats],
    figures: Mapping[str, Figure],
    say: Say,
) -> dict[str, Any]:
    """What was found of the test rows, and every figure without them."""
    test, rest = problem.test.tokens, [*problem.train.tokens, *problem.valid.tokens]
    say("looking for test rows among the train rows")
    among_train = leaks_from_rows(test, rest)
    say("looking for test rows in the pretraining set")
    try:
        pretraining = _told(leaks_from_sets(test, pretraining_sets(subject)), what, scores, figures)
        pretraining["reason"] = trained_before(subject) or ""
    except InputError as error:
        reason = f"not compared: {error}"
        pretraining = {"rows": len(test), "found": None, "metrics_without": None, "reason": reason}
    return {"train_test": _told(among_train, what, scores, figures), "pretraining_test": pretraining}


def _told(leaks: Leaks, what: Judged, scores: Mapping[str, Floats], figures: Mapping[str, Figure]) -> dict[str, Any]:
    clean = ~leaks.found_N
    first, *others = scores
    told: dict[str, Any] = {"rows": len(clean), "found": leaks.counts(), "rows_without": int(clean.sum())}
    if not clean.any():
        return told | {"metrics_without": None, "differences_without": None}
    without = compare(what.of_rows(clean), scores, figures)
    differences = {name: without["differences"][name] for name in others}
    return told | {"metrics_without": without["metrics"][first], "differences_without": differences}
