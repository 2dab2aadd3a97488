"""An independent parse of a report's page and of the figures in it."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser

SVG = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """Headings, tables (lists of rows of cells), all text, all elements and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.text = ""
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif re.fullmatch("h[1-6]", tag):
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if "style" in self._open or "script" in self._open:
            return
        self.text += data
        if "td" in self._open or "th" in self._open:
            self.tables[-1][-1][-1] += data
        if any(re.fullmatch("h[1-6]", tag) for tag in self._open):
            self.headings[-1] += data


def child(element: ET.Element, tag: str) -> ET.Element:
    """The first element of a tag inside another one, however deep."""
    return next(element.iter(f"{SVG}{tag}"))


def figures(text: str) -> dict[str, ET.Element]:
    """The page's SVG elements by the first part of their ids."""
    roots = [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    return {child(root, "g").attrib["id"].removesuffix("-figure_1"): root for root in roots}


def scale(svg: ET.Element, axis: int) -> Callable[[float], float]:
    """From a drawing's coordinate to the number on an axis (1: x, 2: y), read off the axis' tick labels."""
    ticks = []
    letter = "xy"[axis - 1]
    for group in svg.iter(f"{SVG}g"):
        if re.search(rf"-{letter}tick_\d+$", group.get("id", "")):
            label = "".join(child(group, "text").itertext())
            value = float(label.replace("−", "-").replace("k", "e3").replace("M", "e6"))
            ticks.append((float(child(group, "use").attrib[letter]), value))
    (place_a, value_a), (place_b, value_b) = ticks[0], ticks[-1]
    return lambda place: value_a + (place - place_a) * (value_b - value_a) / (place_b - place_a)


def group_of(svg: ET.Element, gid: str) -> ET.Element:
    """A part of a drawing by its id, without the figure's name."""
    return next(group for group in svg.iter(f"{SVG}g") if group.get("id", "").endswith(f"-{gid}"))


def curve(svg: ET.Element, gid: str) -> list[tuple[float, float]]:
    """The points of a line, in the numbers of the axes."""
    x, y = scale(svg, 1), scale(svg, 2)
    points = re.findall(r"[ML] (\S+) (\S+)", child(group_of(svg, gid), "path").attrib["d"])
    return [(x(float(a)), y(float(b))) for a, b in points]


def marks(svg: ET.Element, gid: str) -> list[float]:
    """Where along the x axis there are marks, in its numbers."""
    x = scale(svg, 1)
    return [x(float(mark.attrib["x"])) for mark in group_of(svg, gid).iter(f"{SVG}use")]
