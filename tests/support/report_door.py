"""A run's files seen through its report: what the page shows, and that nothing of it runs."""

import re
from collections import Counter, defaultdict
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hdna.report.metrics_csv import FILE_NAME as CSV
from hdna.report.page import write_report
from support import text_meanings
from support.made_up_run import metrics, write_run

_NAMES = ("metrics.jsonl", "state.json", "baselines.json", "environment.json", "recipe.yaml")
_STATUS = {"done": "finished", "running": "in progress", "stopped": "stopped before its end"}
_MODELS = {"unigram": "unigram", "entropy": "order-0 entropy of the split", "markov": "order-5 Markov"}


class Page(HTMLParser):
    """Tags, tables and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.unsafe: list[tuple[str, str, str | None]] = []
        """Attributes that run or load something, but for the link to the CSV that lies beside the page."""
        self.tables: list[list[list[str]]] = []
        self.texts: defaultdict[str, list[str]] = defaultdict(list)
        """By the tag directly around them."""
        self._listed: list[tuple[str, int]] = []
        """Terms (dt) and descriptions (dd) in order: the tag, and where in `texts` its text is."""
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.unsafe += [(tag, name, value) for name, value in attrs if _is_unsafe(tag, name, value or "")]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag in ("dt", "dd"):
            self._listed.append((tag, len(self.texts[tag])))
        if tag != "meta":
            self._open.append(tag)
        self.texts[tag].append("")

    def description(self, term: str) -> str:
        """The first text that stands under a term."""
        listed = [(tag, self.texts[tag][number]) for tag, number in self._listed]
        return listed[listed.index(("dt", term)) + 1][1]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]][-1] += data
            if self._open[-1] in ("td", "th"):
                self.tables[-1][-1][-1] += data


def _is_unsafe(tag: str, name: str, value: str) -> bool:
    leads_away = "href" in name and value[:1] != "#" and (tag, name, value) != ("a", "href", CSV)
    return name.startswith("on") or name in ("src", "srcset", "action") or leads_away


@cache
def _usual_tags() -> frozenset[str]:
    """Tags of the report on a run with everything in it."""
    with TemporaryDirectory() as folder:
        write_run(Path(folder) / "run", metrics())
        return frozenset(_page(Path(folder) / "run").tags)


def _page(run: Path) -> Page:
    return Page(Path(write_report(str(run))).read_bytes().decode())


def bundled(data: bytes) -> dict[str, bytes]:
    """The files of a run in one text: each under a line `--- NAME`."""
    parts = re.split(rb"^--- ([a-z.]+)\n", data, flags=re.MULTILINE)
    names = [name.decode() for name in parts[1::2]]
    return {name: text for name, text in zip(names, parts[2::2], strict=True) if name in _NAMES}


def read_report(path: Path) -> dict[str, Any]:
    """What the report shows of a bundled run."""
    run = path.with_name("run")
    run.mkdir()
    for name, data in bundled(path.read_bytes()).items():
        (run / name).write_bytes(data)
    page = _page(run)
    assert page.tags.keys() <= _usual_tags() and page.tags["style"] == 1 and not page.unsafe, (page.tags, page.unsafe)
    ladder, environment = page.tables[0], page.tables[-1]
    has_environment = "The run has no environment.json." not in page.texts["p"]
    return {
        "status": page.texts["span"][0],
        "steps": page.description("Steps"),
        "baselines": {name: bits for name, bits, _ in ladder[1:] if name in _MODELS.values()},
        "environment": environment if has_environment else [],
        "recipe": page.texts["code"][1:],
    }


def report_meaning(data: bytes) -> dict[str, Any] | None:
    """What the page has to show; None where no step is finished."""
    files = bundled(data)
    steps = text_meanings.metrics(files.get("metrics.jsonl", b""))
    state, baselines, environment = (text_meanings.run_json(files.get(f"{name}.json")) for name in
                                     ("state", "baselines", "environment"))  # fmt: skip
    status, recipe = str(state.get("status", "unknown")), files.get("recipe.yaml", b"").decode(errors="replace")
    return {
        "status": _STATUS.get(status, status),
        "steps": f"{max(step['step'] or 0 for step in steps):,}",
        "baselines": {
            name: f"{baselines[key]:.4f}"
            for key, name in _MODELS.items()
            if text_meanings.is_number(baselines.get(key))
        },
        "environment": [[name, str(value)] for name, value in environment.items()],
        "recipe": [recipe] if recipe else [],
    } if steps else None  # fmt: skip
