"""The page that compares runs: their valid curves in one figure, their last scores, what their recipes differ in."""

from collections.abc import Iterator, Sequence

from hdna import __version__, storage
from hdna.errors import InputError
from hdna.report import markup
from hdna.report.charts import Chart, Frame
from hdna.report.comparison_charts import MOST_COMPARED, comparison_charts, shared_frame
from hdna.report.facts import facts
from hdna.report.history import History, read_history
from hdna.report.live import page_data
from hdna.report.markup import Html
from hdna.report.page import drawn
from hdna.report.recipe_differences import differences
from hdna.report.tables import NONE, in_bits

PAGE = "comparison.html"


def write_comparison(run_urls: Sequence[str], out: str | None = None) -> str:
    """Write the page of several runs to the folder `out` (default: the first one's report); return its URL.

    Raises InputError when one is no run, or has no step yet, or when there are more than a figure can show.
    """
    if len(run_urls) > MOST_COMPARED:
        raise InputError(f"{len(run_urls)} runs: a comparison shows {MOST_COMPARED} at most")
    histories = [read_history(url) for url in run_urls]
    target = storage.join(out or storage.join(run_urls[0], "report"), PAGE)
    storage.write(target, render(histories).encode())
    return target


def render(histories: Sequence[History]) -> str:
    """The page's HTML."""
    names = names_of(histories)
    title = f"{len(histories)} runs compared"
    header = markup.header("hdna training runs", title, ("done", "compared"), ", ".join(names))
    charts, frame = comparison_charts(histories, names), shared_frame(histories)
    body = _body(histories, names, charts, frame)
    return markup.document(title, header, body, f"Written by hdna {__version__}.", page_data(charts, frame))


def names_of(histories: Sequence[History]) -> list[str]:
    """A name for each run: the last part of its URL, or all of it where several end alike."""
    short = [history.name for history in histories]
    return [name if short.count(name) == 1 else history.url for name, history in zip(short, histories, strict=True)]


def tokens_to_reach(history: History, bits: float) -> int | None:
    """Tokens seen at the first evaluation of at most so many bits per base; None if there is none."""
    return next((s.tokens for s in history.steps if (v := s.valid_bits_per_base) is not None and v <= bits), None)


def sooner(one: History, name: str, other: History, other_name: str) -> str:
    """In words, how many tokens `one` took to the last score of `other`; empty if either has none."""
    bits, last = other.valid_bits_per_base, other.last_scored
    if bits is None or last is None or one.valid_bits_per_base is None:
        return ""
    tokens = tokens_to_reach(one, bits)
    if tokens is None:
        return f"{name} has not reached the {bits:.4f} valid bits per base of {other_name}."
    share = f"{tokens / last.tokens:.0%} of its {last.tokens:,}"
    return f"{name} reached the {bits:.4f} valid bits per base of {other_name} after {tokens:,} tokens, {share}."


def _body(histories: Sequence[History], names: Sequence[str], charts: Sequence[Chart], frame: Frame) -> Iterator[Html]:
    yield markup.paragraph(_lead(histories, names), "lead")
    valid, train = charts
    yield markup.heading("Valid bits per base")
    yield markup.tools()
    begun = "Evaluations. A run that began from weights starts with their score, at zero tokens."
    yield drawn(valid, frame, begun)
    yield markup.heading("Runs")
    columns = ("Run", "Before the first step", "Tokens", "Last valid bits per base", "Its context", "Order-5 Markov")
    yield markup.table(columns, [_row(history, name) for history, name in zip(histories, names, strict=True)])
    if not _same_data(histories):
        yield markup.paragraph("The runs have different shard sets, so that their scores are of different bases.")
    yield markup.heading("What their recipes differ in")
    rows = differences([history.config for history in histories])
    if rows:
        yield markup.table(("Key", *names), rows, text_columns=1 + len(names))
    else:
        yield markup.paragraph("Nothing but where they are stored.")
    yield markup.heading("Train bits per base")
    yield drawn(train, frame, "The running mean over the steps of a stage; a short run's steps as they are.")
    yield markup.heading("How they went")
    yield markup.table(("What", *names), _facts(histories), text_columns=1 + len(names))


def _facts(histories: Sequence[History]) -> Iterator[tuple[str, ...]]:
    """What is known of any run's course, beside the others'."""
    known = [dict(facts(history)) for history in histories]
    names = dict.fromkeys(name for entries in known for name in entries)
    yield ("Status", *(history.status for history in histories))
    for name in names:
        yield (name, *(entries.get(name, NONE) for entries in known))


def _lead(histories: Sequence[History], names: Sequence[str]) -> str:
    scored = [(h.valid_bits_per_base, name) for h, name in zip(histories, names, strict=True) if h.last_scored]
    if not scored:
        return "None of these runs has an evaluation on a valid split yet."
    bits, best = min((bits, name) for bits, name in scored if bits is not None)
    sentences = [f"{best} has the fewest valid bits per base, {bits:.4f}."]
    others = [index for index, name in enumerate(names) if name != best]
    winner = histories[names.index(best)]
    sentences += [text for i in others if (text := sooner(winner, best, histories[i], names[i]))]
    return " ".join(sentences)


def _row(history: History, name: str) -> tuple[str, ...]:
    return (
        name,
        in_bits(history.baselines.get("source")),
        f"{history.steps[-1].tokens:,}",
        in_bits(history.valid_bits_per_base),
        f"{history.scored_context:,}" if history.scored_context else NONE,
        in_bits(history.baselines.get("markov")),
    )


def _same_data(histories: Sequence[History]) -> bool:
    return all(history.shard_checksums == histories[0].shard_checksums for history in histories)
