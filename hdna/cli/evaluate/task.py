"""`hdna eval task`: a labelled set, a method and its baselines."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from hdna.downstream.subject import Subject
    from hdna.downstream.tasks.flow import Methods
    from hdna.downstream.tasks.labelled_set import LabelledSet
    from hdna.downstream.tasks.presets import Preset
    from hdna.downstream.tasks.problem import Method

METHODS = Literal["probe", "finetune", "soft_prompt", "in_context"]
KINDS = Literal["single_label", "multi_label", "regression", "per_base"]
BASELINES = ("kmer_logistic", "kmer_boosting", "cnn", "scratch")
_Kind = Annotated[KINDS | None, typer.Option(help="What labels are, where they do not tell.")]


def task(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run, a checkpoint or an import: a folder or bucket URL.")
    ],
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder or bucket for task.json and its figures.")],
    train: Annotated[
        str | None, typer.Option(help="Labelled rows to learn from: CSV, TSV, Parquet, FASTA, BED.")
    ] = None,
    valid: Annotated[str | None, typer.Option(help="Rows to stop and choose by; by default a tenth of train.")] = None,
    test: Annotated[str | None, typer.Option(help="Rows to be judged on.")] = None,
    labels: Annotated[str | None, typer.Option(metavar="TABLE", help="Labels (id, label) of FASTA files.")] = None,
    genome: Annotated[str | None, typer.Option(metavar="FASTA", help="Genome of BED files, label in column 4.")] = None,
    preset: Annotated[str | None, typer.Option(help="A public set: see 'hdna eval presets'.")] = None,
    data: Annotated[str | None, typer.Option(metavar="DIR", help="The preset's local copy.")] = None,
    kind: _Kind = None,
    method: Annotated[METHODS, typer.Option(help="How the model is used.")] = "probe",
    without: Annotated[
        list[str] | None, typer.Option(metavar="|".join(BASELINES), help="A baseline to leave out; repeatable.")
    ] = None,
    shots: Annotated[
        int | None, typer.Option(metavar="K", help="Train rows of each class, of soft_prompt and in_context.", min=1)
    ] = None,
    curve: Annotated[bool, typer.Option("--curve", help="Learning curve against the same model from scratch.")] = False,
    recall_at: Annotated[
        int | None, typer.Option(metavar="K", help="K of recall at K; by default a tenth of the test rows.", min=1)
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Of finetune and scratch [default: 6].", min=1)] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of finetune and scratch, at its peak [default: 0.001].", min=1e-9, max=1)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Workers on Ray that fine-tune together [default: this process].", min=1)
    ] = None,
    sequence_parallel: Annotated[
        int, typer.Option(help="So many of them share each sequence, for contexts beyond one's memory.", min=1)
    ] = 1,
) -> None:
    """Judge a checkpoint on a labelled set, beside baselines.

    Tables have columns sequence and label; chromosome, where there is one, is what intervals are drawn by. Rows that
    cannot be used are set apart in DIR/set_apart.tsv, with the reason.

    \b
    Example:
      hdna eval task runs/human --train train.csv --test test.csv --out judged
      hdna eval task runs/human --train a.bed --test b.bed --genome g.fa --out out
      hdna eval task runs/human --preset gb:human_ocr_ensembl --data d --out out
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna import storage
    from hdna.cli.evaluate.task_text import task_text
    from hdna.downstream.evidence import write_evidence
    from hdna.downstream.subject import load_subject
    from hdna.downstream.tasks.admission import write_set_apart
    from hdna.downstream.tasks.flow import Protocol, judge
    from hdna.downstream.tasks.presets import find_preset
    from hdna.downstream.tasks.task_figures import task_figures

    chosen = find_preset(preset) if preset is not None else None
    _refuse_unknown(without or [])
    _refuse_mixed(chosen is not None, train, test, data)
    if method != "finetune" and "scratch" in (without or []) and not curve:
        _refuse_unused(f"{method} without scratch fine-tunes nothing", epochs=epochs, learning_rate=learning_rate)
    if method not in ("soft_prompt", "in_context"):
        _refuse_unused(f"{method} learns from all train rows", shots=shots)
    storage.join(out)  # names a place
    subject = load_subject(run)
    made = _labelled_set(subject, chosen, (train, valid, test), data, labels, genome, kind)
    _say(f"{made.problem.name}: {_rows(made)}")
    for note in made.notes:
        _say(note)
    tuned = _tuned(subject, epochs, learning_rate, workers or sequence_parallel, sequence_parallel)
    methods = _methods(subject, method, shots, without or [], curve, tuned)
    protocol = Protocol(recall_at, chosen.metric if chosen else None, chosen.label_groups if chosen else {})
    write_set_apart(out, made.apart)  # first: a place that cannot be written is found before anything is learned
    body, cost = judge(subject, made, methods, protocol, _say)
    for name, figure in task_figures(body).items():
        storage.write(storage.join(out, name), figure.encode())
    url = write_evidence(out, "task", subject, cost, body)
    typer.echo(f"{task_text(body)}\n\n{url}")


def _refuse_unknown(baselines: list[str]) -> None:
    for name in baselines:
        if name not in BASELINES:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(BASELINES)}", param_hint="--without")


def _refuse_mixed(preset: bool, train: str | None, test: str | None, data: str | None) -> None:
    if preset and (train or test or data is None):
        raise typer.BadParameter("a preset takes --data, and neither --train nor --test", param_hint="--preset")
    if not preset and (train is None or test is None or data is not None):
        raise typer.BadParameter("give --train and --test, or --preset and --data", param_hint="--train")


def _refuse_unused(why: str, **options: float | None) -> None:
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(f"{why}: leave it out", param_hint=f"--{name.replace('_', '-')}")


def _labelled_set(
    subject: "Subject",
    preset: "Preset | None",
    splits: tuple[str | None, str | None, str | None],
    data: str | None,
    labels: str | None,
    genome: str | None,
    kind: KINDS | None,
) -> "LabelledSet":
    import tempfile
    from pathlib import Path

    from hdna.downstream.reference_genome import open_genome
    from hdna.downstream.tasks.labelled_set import make_set
    from hdna.downstream.tasks.opening import name_of, read_rows
    from hdna.downstream.tasks.preset_files import read_preset

    longest = subject.config.model.l_max
    with tempfile.TemporaryDirectory(prefix="hdna-genome-") as scratch:
        store = open_genome(genome, Path(scratch)) if genome is not None else None
        if preset is not None and data is not None:
            found = read_preset(preset, data, store)
            train = found.get("train") or found["test"]
            test = found.get("test") if "train" in found else None
            return make_set(preset.name, train, found.get("valid"), test, longest, kind or preset.kind)
        rows = [None if url is None else read_rows(url, labels, store) for url in splits]
    assert rows[0] is not None and splits[2] is not None
    return make_set(name_of(splits[2]), rows[0], rows[1], rows[2], longest, kind)


def _tuned(
    subject: "Subject", epochs: int | None, learning_rate: float | None, workers: int, sequence_parallel: int
) -> "Callable[[str], Method]":
    """How and where "finetune" and "scratch" are done."""
    from dataclasses import replace

    from hdna.downstream.tasks.finetune import DEFAULT, finetune, scratch
    from hdna.downstream.tasks.on_ranks import on_ranks

    if sequence_parallel > workers:
        raise typer.BadParameter(f"{sequence_parallel} of {workers} workers", param_hint="--sequence-parallel")
    schedule = replace(DEFAULT, epochs=epochs or DEFAULT.epochs, learning_rate=learning_rate or DEFAULT.learning_rate)
    here = {"finetune": finetune, "scratch": scratch}
    if workers == 1:
        return lambda name: here[name](subject, schedule)
    return lambda name: on_ranks(subject, name, schedule, workers, sequence_parallel, lambda event: _say(str(event)))


def _methods(
    subject: "Subject",
    method: METHODS,
    shots: int | None,
    without: list[str],
    curve: bool,
    tuned: "Callable[[str], Method]",
) -> "Methods":
    from hdna.downstream.tasks.cnn import cnn
    from hdna.downstream.tasks.flow import Methods
    from hdna.downstream.tasks.in_context import SHOTS, in_context
    from hdna.downstream.tasks.kmer_baselines import kmer_boosting, kmer_logistic
    from hdna.downstream.tasks.probe import probe
    from hdna.downstream.tasks.soft_prompt import soft_prompt

    ways = {
        "probe": lambda: probe(subject),
        "finetune": lambda: tuned("finetune"),
        "soft_prompt": lambda: soft_prompt(subject, shots=shots),
        "in_context": lambda: in_context(subject, shots=shots or SHOTS),
    }
    untrained = tuned("scratch")
    baselines = {
        "kmer_logistic": kmer_logistic(),
        "kmer_boosting": kmer_boosting(),
        "cnn": cnn(subject.device),
        "scratch": untrained,
    }
    used = {name: own for name, own in baselines.items() if name not in without}
    return Methods(method, ways[method](), used, untrained if curve else None)


def _rows(made: "LabelledSet") -> str:
    problem = made.problem
    counts = ", ".join(f"{len(getattr(problem, split)):,} {split}" for split in ("train", "valid", "test"))
    apart = f"; {len(made.apart):,} set apart" if made.apart else ""
    return f"{problem.kind}, {len(problem.names)} classes or labels; rows: {counts}{apart}"


def _say(line: str) -> None:
    typer.echo(line, err=True)
