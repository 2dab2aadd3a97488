"""The page about a run: one self-contained HTML file, for a browser without a network, with scripts or without.

The same run files give the same bytes, but for a run in progress that has not been heard of for long. It may be
written at any time.
"""

from collections.abc import Iterator, Sequence
from statistics import median

from hdna import __version__, storage
from hdna.data.curriculum import Curriculum
from hdna.model.flops import parameter_count
from hdna.report import markup
from hdna.report.charts import Chart, Frame
from hdna.report.facts import facts
from hdna.report.history import History, read_history
from hdna.report.ledger import ledger
from hdna.report.live import page_data
from hdna.report.markup import Html
from hdna.report.metrics_csv import FILE_NAME as CSV
from hdna.report.metrics_csv import metrics_csv
from hdna.report.plots import chart_svg
from hdna.report.recipe_differences import nearest_shipped
from hdna.report.run_charts import RunCharts
from hdna.report.set_sections import held_out_table, set_chart, set_table
from hdna.report.tables import STAGE_COLUMNS, in_bits, ladder, signed, stage_rows
from hdna.report.trace_charts import TraceCharts

PAGE = "index.html"
_STATUS = {"done": "finished", "running": "in progress", "stopped": "stopped before its end"}


def write_report(run_url: str, out: str | None = None) -> str:
    """Write the page of the run at `run_url`, and its metrics as CSV, to the folder `out` (default: RUN_URL/report).

    Returns the page's URL.

    Raises InputError when there is no run, or none of its steps is finished.
    """
    history = read_history(run_url)
    folder = out or storage.join(run_url, "report")
    target = storage.join(folder, PAGE)
    storage.write(storage.join(folder, CSV), metrics_csv(history.steps))
    storage.write(target, render(history).encode())
    return target


def render(history: History) -> str:
    """The page's HTML."""
    known = history.status if history.status in _STATUS else "unknown"
    status = (known, _STATUS.get(history.status, history.status))
    if history.live and history.live.is_lost:
        status = ("stale", f"stale: last heard of at {history.live.heartbeat}")
    more = [f"resumed {len(history.resumed)}×"] if history.resumed else []
    header = markup.header("hdna training run", history.name, status, history.url, more)
    run = RunCharts(history)
    frame, traces = run.frame(), list(TraceCharts(history, run.along).all())
    charts = [run.bits(), *(chart for chart in [set_chart(history)] if chart), *(chart for chart, _ in traces)]
    body = _body(history, run, frame, traces)
    title, footer = f"{history.name}: {status[1]}", f"Written by hdna {__version__}."
    return markup.document(title, header, body, footer, page_data(charts, frame))


def verdict(history: History) -> str:
    """The comparison with simple models in one or two sentences."""
    bits, baselines = history.valid_bits_per_base, history.baselines
    if bits is None or not {"entropy", "markov"} <= baselines.keys():
        return "There is no evaluation on a valid split to compare with simple models yet."
    gain = baselines["entropy"] - bits
    if gain <= 0:
        return (
            f"At {bits:.3f} valid bits per base the model has not yet learned more than the composition of the "
            f"sequence, whose order-0 entropy is {baselines['entropy']:.3f}."
        )
    used = (
        f"At {bits:.3f} valid bits per base the model is {gain:.3f} below the order-0 entropy of the split "
        f"({baselines['entropy']:.3f}), the best that composition alone could reach: it predicts from context"
    )
    against = "also beats" if bits < baselines["markov"] else "has not reached"
    return (
        f"{used}. It {against} an order-5 Markov model ({baselines['markov']:.3f}), which sees five bases back."
        f"{_longer_context(history)}"
    )


def _longer_context(history: History) -> str:
    """The last scored stage compared with the first; empty for a single stage."""
    scored = [(stage.valid_bits_per_base, stage) for stage in history.stages if stage.valid_bits_per_base is not None]
    if len(scored) < 2:
        return ""
    (first_bits, first), (last_bits, last) = scored[0], scored[-1]
    return (
        f" Stage {last.index} (context {last.context_length:,}) is {abs(first_bits - last_bits):.3f} "
        f"{'below' if last_bits < first_bits else 'above'} where stage {first.index} "
        f"(context {first.context_length:,}) ended."
    )


def _body(history: History, run: RunCharts, frame: Frame, traces: Sequence[tuple[Chart, str]]) -> Iterator[Html]:
    yield markup.summary(facts(history))
    yield markup.cards(_cards(history))
    yield markup.paragraph(verdict(history), "lead")
    yield markup.heading("Bits per base")
    yield markup.tools()
    yield drawn(run.bits(), frame, _bits_caption(history, run))
    yield markup.heading("Against simple models")
    yield markup.table(("Model", "Bits per base", "Below order-0 entropy"), ladder(history), marked="this run")
    yield markup.paragraph(
        "Bits per base is the mean surprise per base of the valid split; a uniform guess scores 2. The unigram and "
        "order-5 Markov models were counted on the train split. N and other codes are not scored."
    )
    yield from set_table(history)
    if sets := set_chart(history):
        yield drawn(sets, frame, "Evaluations of each assembly by itself, at the stage's context length.")
    yield from held_out_table(history)
    yield markup.heading("Stages of the curriculum")
    yield markup.table(STAGE_COLUMNS, stage_rows(history))
    yield from _skipped(history)
    yield from ledger(history)
    yield markup.heading("The course of training")
    yield markup.tools()
    yield markup.figures(
        markup.figure(caption, chart_svg(chart, frame), title=chart.title, chart=chart.name)
        for chart, caption in traces
    )
    yield from _records(history)


def drawn(chart: Chart, frame: Frame, caption: str) -> Html:
    """A large figure, with its drawing for a phone."""
    return markup.figure(caption, chart_svg(chart, frame), chart_svg(chart, frame, narrow=True), chart=chart.name)


def _cards(history: History) -> Iterator[tuple[str, str, str]]:
    steps, last, config = history.steps, history.steps[-1], history.config
    plan = Curriculum.of(config) if config else None
    yield "Steps", f"{last.step:,}", f"of {plan.steps:,}" if plan else ""
    yield "Tokens seen", _short(last.tokens), f"of {_short(plan.tokens)}" if plan else ""
    context = f"context {history.scored_context:,}" if history.scored_context else ""
    yield "Valid bits/base", in_bits(history.valid_bits_per_base, 3), context
    if history.valid_bits_per_base is not None and "entropy" in history.baselines:
        gain = history.baselines["entropy"] - history.valid_bits_per_base
        yield "Below entropy", signed(gain, 3), f"order-0: {history.baselines['entropy']:.3f}"
    speeds = [step.tokens_per_second for step in steps if step.tokens_per_second is not None]
    if speeds:
        yield "Tokens/s", f"{median(speeds):,.0f}", "median"
    if config:
        yield "Parameters", f"{parameter_count(config.model):,}", f"{config.model.n_layer} layers"


def _bits_caption(history: History, run: RunCharts) -> str:
    over, edge = run.smoothed_over(), run.bits().span[1]
    shown = f"Train: the running mean over {over:,} steps of a stage, over the steps themselves (faint)"
    shown = shown if over > 1 else "Each point of the train curve is one step"
    beyond = sum(step.bits_per_base is not None and step.bits_per_base > edge for step in history.steps)
    return (
        f"{shown}. Valid: evaluations at the stage's context length, which is written above. Horizontal lines: simple "
        f"models on the valid split."
        + (f" To keep the rest readable, {beyond:,} steps above {edge:.2f} are cut off." if beyond else "")
        + (" A cross marks a skipped step." if history.skipped else "")
    )


def _skipped(history: History) -> Iterator[Html]:
    if not history.skipped:
        return
    yield markup.heading("Skipped steps")
    yield markup.paragraph(
        f"{len(history.skipped):,} of {len(history.steps):,} steps had a non-finite loss or gradient and changed "
        f"nothing: step {', '.join(f'{step.step:,}' for step in history.skipped[:20])}"
        + (", and more." if len(history.skipped) > 20 else ".")
    )


def _records(history: History) -> Iterator[Html]:
    """The run's record: checkpoints, data, recipe, environment."""
    yield markup.heading("Checkpoints")
    rows = [(c.name, f"{c.step:,}", f"{c.bytes / 2**20:.1f} MiB") for c in history.checkpoints]
    yield markup.table(("Checkpoint", "Step", "Size"), rows) if rows else markup.paragraph("None yet.")
    yield markup.heading("Data")
    yield markup.facts(_data(history))
    yield from _recipe(history)
    yield markup.heading("Environment")
    entries = history.environment.items()
    yield markup.facts(entries) if entries else markup.paragraph("The run has no environment.json.")
    yield markup.heading("Metrics")
    yield markup.link(CSV, CSV, f", in the folder of this page: all {len(history.steps):,} steps, for a spreadsheet.")


def _recipe(history: History) -> Iterator[Html]:
    """What differs from the shipped recipe, and all of it folded."""
    yield markup.heading("Recipe")
    if not history.recipe:
        yield markup.paragraph("The run has no recipe.yaml.")
        return
    if history.config:
        name, rows = nearest_shipped(history.config)
        if rows:
            yield markup.paragraph(f"What differs from the shipped recipe nearest to it, {name}:")
            yield markup.table(("Key", "This run", name), rows, text_columns=3)
        else:
            yield markup.paragraph(f"The shipped recipe {name}, but for where data and run are stored.")
    yield markup.folded("The whole recipe, as resolved", [markup.verbatim(history.recipe)])


def _data(history: History) -> Iterator[tuple[str, str]]:
    urls = history.config.data.shards if history.config else []
    for number, url in enumerate(urls):
        yield f"Shard set {number}", url
        if str(number) in history.shard_checksums:
            yield f"Checksum of set {number}", history.shard_checksums[str(number)]
    for split in ("train", "valid"):
        if (bases := history.baselines.get(f"{split}_bases")) is not None:
            yield f"{split.capitalize()} bases counted by the simple models", f"{bases:,.0f}"
    if history.config:
        yield "Reverse complement", "yes" if history.config.data.reverse_complement else "no"


def _short(count: int) -> str:
    """A count in at most five characters plus unit."""
    for size, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)
