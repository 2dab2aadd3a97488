"""Pieces of an HTML page. All text is escaped here; SVG figures are the only markup accepted verbatim."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from importlib.resources import files

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Tells the browser that the page loads nothing, and runs nothing but the scripts whose hashes follow."""
_SCRIPTS = ("figures.js", "controls.js")


@dataclass(frozen=True)
class Html:
    """Finished markup, as opposed to text that must be escaped."""

    text: str


def document(title: str, header: Html, body: Iterable[Html], footer: str, charts: str = "") -> str:
    """A complete page with inline style sheet; `charts`: JSON that the page's own scripts draw its figures from."""
    scripts = [_file(name) for name in _SCRIPTS] if charts else []
    hashes = "".join(f" 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    policy = f"{_POLICY}; script-src{hashes}" if charts else _POLICY
    # In JSON a "<" can stand only within a text: escaped there, none of them ends the element.
    harmless = charts.replace("<", "\\u003c")
    data = [f'<script type="application/json" id="charts">{harmless}</script>'] if charts else []
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>\n{_file('report.css')}</style>\n</head>\n<body>",
            f"<header>\n{header.text}\n</header>\n<main>",
            *(part.text for part in body),
            f"</main>\n<footer><p>{escape(footer)}</p></footer>",
            *data,
            *(f"<script>{script}</script>" for script in scripts),
            "</body>\n</html>\n",
        ]
    )


def header(kind: str, name: str, status: tuple[str, str], url: str, more: Iterable[str] = ()) -> Html:
    """The page's title; `status` is a CSS class and its label, `more` further labels."""
    labels = [status, *(("", words) for words in more)]
    shown = "".join(f' <span class="status {escape(mark)}">{escape(words)}</span>' for mark, words in labels)
    return Html(
        f'<p class="eyebrow">{escape(kind)}</p>\n'
        f"<h1>{escape(name)}{shown}</h1>\n"
        f'<p class="place"><code>{escape(url)}</code></p>'
    )


def cards(entries: Iterable[tuple[str, str, str]]) -> Html:
    """A row of (what, figure, explanation)."""
    items = (
        f"<div><dt>{escape(what)}</dt><dd>{escape(figure)}</dd><dd>{escape(note)}</dd></div>"
        for what, figure, note in entries
    )
    return Html(f'<dl class="cards">\n{_lines(items)}\n</dl>')


def heading(text: str) -> Html:
    """A section's heading."""
    return Html(f"<h2>{escape(text)}</h2>")


def paragraph(text: str, style: str = "note") -> Html:
    """A sentence or two."""
    return Html(f'<p class="{style}">{escape(text)}</p>')


def bullets(sentences: Iterable[str]) -> Html:
    """A list of sentences."""
    return Html(f'<ul class="lead">\n{_lines(f"<li>{escape(sentence)}</li>" for sentence in sentences)}\n</ul>')


def folded(title: str, parts: Iterable[Html]) -> Html:
    """What a click on `title` shows; open in print."""
    inner = _lines(part.text for part in parts)
    return Html(f"<details>\n<summary>{escape(title)}</summary>\n{inner}\n</details>")


def figure(caption: str, svg: str, narrow_svg: str = "", title: str = "", chart: str = "") -> Html:
    """A drawing with its caption.

    `narrow_svg` replaces it on a phone; the figure `chart` of the scripts' data replaces both where scripts run.
    """
    above = f"<h3>{escape(title)}</h3>\n" if title else ""
    drawing = f'<div class="wide">{svg}</div>\n<div class="narrow">{narrow_svg}</div>' if narrow_svg else svg
    if chart:
        drawing = f'<div class="fallback">{drawing}</div>'
    name = f' data-chart="{escape(chart)}"' if chart else ""
    return Html(f"<figure{name}>\n{above}{drawing}\n<figcaption>{escape(caption)}</figcaption>\n</figure>")


def tools() -> Html:
    """Where the scripts put what the reader can choose; nothing without them."""
    return Html('<div class="tools" hidden></div>')


def link(words: str, file: str, after: str) -> Html:
    """A sentence that begins with a link to a file beside the page."""
    return Html(f'<p class="note"><a href="{escape(file)}" download>{escape(words)}</a>{escape(after)}</p>')


def figures(drawings: Iterable[Html]) -> Html:
    """Small figures, side by side if there is room."""
    return Html(f'<div class="traces">\n{_lines(drawing.text for drawing in drawings)}\n</div>')


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    text_columns: int = 1,
    marked: str = "",
    dense: bool = False,
) -> Html:
    """A table with `text_columns` columns of text, then columns of numbers; `dense`: small, for many columns.

    Rows whose first cell starts with `marked` are highlighted.
    """
    kinds = ["" if number < text_columns else ' class="number"' for number in range(len(columns))]
    top = "".join(f'<th scope="col"{kind}>{escape(column)}</th>' for kind, column in zip(kinds, columns, strict=True))
    body = (_row(cells, kinds, bool(marked) and cells[0].startswith(marked)) for cells in rows)
    style = "scroll dense" if dense else "scroll"
    return Html(
        f'<div class="{style}" tabindex="0"><table>\n<thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{_lines(body)}\n</tbody></table></div>"
    )


def summary(entries: Iterable[tuple[str, str]]) -> Html:
    """Names and values in few lines, as many side by side as there is room for."""
    items = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in entries)
    return Html(f'<dl class="summary">\n{_lines(items)}\n</dl>')


def facts(entries: Iterable[tuple[str, str]]) -> Html:
    """A table of names and values."""
    rows = (
        f'<tr><th scope="row">{escape(name)}</th><td class="long">{escape(value)}</td></tr>' for name, value in entries
    )
    return Html(f'<div class="scroll" tabindex="0"><table>\n<tbody>\n{_lines(rows)}\n</tbody></table></div>')


def verbatim(text: str) -> Html:
    """Preformatted text."""
    return Html(f'<pre tabindex="0"><code>{escape(text)}</code></pre>')


def _file(name: str) -> str:
    return files("hdna.report").joinpath(name).read_text(encoding="utf-8")


def _row(cells: Sequence[str], kinds: Sequence[str], highlighted: bool) -> str:
    first, *others = cells
    rest = "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds[1:], others, strict=True))
    mark = ' class="model"' if highlighted else ""
    return f'<tr{mark}><th scope="row"{kinds[0]}>{escape(first)}</th>{rest}</tr>'


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(parts)
