"""Which evidence there is not, and the command that would make it."""

from collections.abc import Iterator, Sequence

from hdna.downstream.benefits.form import Benefit, Missing
from hdna.downstream.benefits.gather import ATTENTION, FIRST_RESULT, Gathered
from hdna.downstream.benefits.task_body import Task
from hdna.report.history import History

IN_CONTEXT = ("soft_prompt", "in_context")
"""Ways to learn a task without changing the weights: the paper's section on in-context learning."""
_LEAKS = {"train_test": "its train part", "pretraining_test": "the pretraining set"}


def missing(found: Gathered, history: History | None, run: str, out: str) -> list[Missing]:
    """In the order of the sections. `run` and `out`: as given to the command."""
    entries: list[tuple[Benefit, str, str]] = []
    task = f"hdna eval task {run} --train T.csv --valid V.csv --test U.csv --out {out}/TASK"
    learned = [found.body for found in found.tasks]

    def need(there: object, benefit: Benefit, what: str, command: str) -> None:
        if not there:
            entries.append((benefit, what, command))

    first: Benefit = "predictive_performance"
    need(found.context, first, "bits per base by context length", f"hdna eval context {run} --out {out}/context")
    markov = history is not None and "markov" in history.baselines
    need(markov, first, "bits per base of an order-5 Markov model", "hdna train writes it beside a run that it trains")
    need(learned, first, "labelled tasks beside baselines", task)
    for what in _lacks(learned):
        need(False, first, what, task)
    curves = any(body.learning_curve for body in learned)
    need(curves, "less_labelled_data", "quality over the number of labels", f"{task} --curve")
    third: Benefit = "simpler_deployment"
    timed = history is not None and any(step.seconds is not None for step in history.steps)
    need(timed, third, "what pretraining took", "hdna train writes it beside a run that it trains")
    need(learned, third, "what it takes to adapt", task)
    need(
        found.embedding,
        third,
        "what it takes to embed",
        f"hdna eval embed {run} --fasta F.fa --out {out}/embed.parquet",
    )
    need(found.attention, third, "speed beside attention", f"hdna bench attention --out {out}/{ATTENTION}")
    entries.extend(_emergent(found, run, out))
    need(
        found.first_results,
        "human_interface",
        "the time to a first result, and what first mistakes are told",
        f"python bench/first_result.py --out {out}/{FIRST_RESULT}",
    )
    return [Missing(*entry) for entry in entries]


def _lacks(tasks: Sequence[Task]) -> Iterator[str]:
    """What the tasks that there are do not say."""
    for body in tasks:
        if not body.baselines:
            yield f"baselines of {body.task} by {body.method}"
        for kind, where in _LEAKS.items():
            leak = body.leaks.get(kind)
            if leak is None or leak.found is None:
                yield f"leaks of {body.task} by {body.method} from {where}"
        if not body.calibration and body.kind != "regression":
            yield f"calibration of {body.task} by {body.method}"
        if not body.strata:
            yield f"strata of {body.task} by {body.method}"
    if tasks and not any(name.startswith("recall_at") for body in tasks for name in body.metrics):
        yield "recall at K of any task"


def _emergent(found: Gathered, run: str, out: str) -> Iterator[tuple[Benefit, str, str]]:
    fourth: Benefit = "emergent_uses"
    vcf = f"hdna eval variants {run} --vcf V.vcf.gz --fasta G.fa"
    scored = f"--out {out}/variants/scored.vcf.gz"
    if not found.variants:
        yield fourth, "zero-shot scores of variants", f"{vcf} --labels KEY --controls --gtf G.gtf {scored}"
    else:
        if not any(f.body.labelled for f in found.variants):
            yield fourth, "zero-shot scores of variants against labels", f"{vcf} --labels KEY {scored}"
        if not any(f.body.controls for f in found.variants):
            yield fourth, "controls of the variants' scores", f"{vcf} --controls --gtf G.gtf {scored}"
    if not any(f.body.method in IN_CONTEXT for f in found.tasks):
        task = f"hdna eval task {run} --method in_context --train T.csv --test U.csv --out {out}/in_context"
        yield fourth, "in-context learning", task
    if not found.needle:
        yield fourth, "use of what was read far back", f"hdna eval needle {run} --out {out}/needle"
