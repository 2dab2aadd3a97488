"""The report in a real browser without a network: in light, dark and on paper, read by pointer and by keys."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest
from support.browser import Browser, browsing, find_browser
from support.made_up_run import metrics, write_run

from hdna.report.comparison import write_comparison
from hdna.report.drawing import COLOURS
from hdna.report.page import write_report

pytestmark = pytest.mark.browser

Pixels = npt.NDArray[np.int64]
"""(height, width, 3)"""
CONTRAST = """
(() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (c) => c <= 0.04045 * 255 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const bad = [];
  for (const node of document.querySelectorAll("body *")) {
    const style = getComputedStyle(node), box = node.getBoundingClientRect();
    if (!box.width || style.visibility === "hidden") continue;
    const words = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    const svg = node instanceof SVGElement;
    if (words) {
      const found = ratio(channels(svg ? style.fill : style.color), ground(node));
      if (found < 4.5 && !node.disabled) bad.push([node.textContent.slice(0, 40), found]);
    } else if (svg && style.stroke !== "none" && style.opacity === "1" && !node.matches(".grid")) {
      const found = ratio(channels(style.stroke), ground(node));
      if (found < 3) bad.push([node.getAttribute("class"), found]);
    }
  }
  return bad;
})()
"""
"""Texts below a contrast of 4.5 with what is behind them, and lines below 3 (WCAG 2.2, 1.4.3 and 1.4.11)."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser; skips where there is none."""
    if find_browser() is None:
        pytest.skip("no chromium or google-chrome here: apt-get install chromium")
    with browsing(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of a run, and one that compares it with another."""
    folder = tmp_path_factory.mktemp("pages")
    runs = [folder / "made & up", folder / "other"]
    for run in runs:
        write_run(run, [line | {"seconds": 60.0, "workers": 1} for line in metrics()])
    compared = write_comparison([str(run) for run in runs])
    return {"run": Path(write_report(str(runs[0]))), "compared": Path(compared)}


def pixels(picture: Path) -> Pixels:
    """A screenshot as whole numbers."""
    colours: npt.NDArray[np.float32] = matplotlib.image.imread(picture)[..., :3]
    return np.round(colours * 255).astype(np.int64)


def count(picture: Pixels, colour: str) -> int:
    """Pixels of a colour, give or take one step in each channel."""
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return int((np.abs(picture - wanted).max(axis=2) <= 1).sum())


def test_the_scripts_run_and_replace_the_drawings(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["run"], 1280)
    assert browser.complaints() == []
    assert browser.run("document.querySelectorAll('.live svg').length") == 5
    assert browser.run("[...document.querySelectorAll('.fallback')].every(x => x.offsetHeight === 0)")
    assert "<script>" not in browser.run("document.querySelector('main').innerHTML")
    labels = browser.run("[...document.querySelectorAll('[data-chart=bits] .live text')].map(x => x.textContent)")
    assert {"train 1.9450", "valid 1.9510", "uniform 2.0000", "order 5 1.9300"} <= set(labels)


def test_without_scripts_the_drawings_are_shown(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    browser.open(pages["run"], 1280, script=False)
    page = pixels(browser.picture(tmp_path / "page.png"))
    for role in ("train", "valid", "markov", "unigram", "entropy"):
        assert count(page, COLOURS[role]) > 40, role
    assert count(page, "#ffffff") > 500_000  # the cards
    assert count(page, "#f6f8fa") > 500_000  # the paper around them


@pytest.mark.parametrize(
    ("width", "dark", "media"),
    [(1280, False, ""), (390, True, ""), (1280, True, ""), (390, False, ""), (800, True, "print")],
)
@pytest.mark.parametrize("name", ["run", "compared"])
def test_texts_and_lines_stand_out(
    browser: Browser, pages: dict[str, Path], name: str, width: int, dark: bool, media: str
) -> None:
    browser.open(pages[name], width, dark=dark, media=media)
    assert browser.complaints() == [] and browser.run(CONTRAST) == []
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")


def test_dark_page_has_its_own_colours(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    browser.open(pages["run"], 1280, dark=True)
    page = pixels(browser.picture(tmp_path / "page.png"))
    assert page.mean() < 60 and count(page, COLOURS["valid"]) == 0
    assert count(page, "#ff7b8a") > 40  # valid
    assert count(page, "#6fb1e8") > 40  # train


def test_pointer_reads_zooms_and_keys_do_the_same(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["run"], 1280)
    left, top, width, height = browser.run(
        "(() => { const b = document.querySelector('[data-chart=bits] .live').getBoundingClientRect();"
        " return [b.left, b.top, b.width, b.height]; })()"
    )
    read = "document.querySelector('[data-chart=bits] .readout').textContent"
    middle = top + height / 2
    browser.mouse("mouseMoved", left + width / 2, middle)
    assert "train 1.9" in browser.run(read) and "steps" in browser.run(read)
    browser.mouse("mousePressed", left + width / 3, middle, button="left", clickCount=1)
    browser.mouse("mouseMoved", left + width / 2, middle, button="left", buttons=1)
    browser.mouse("mouseReleased", left + width / 2, middle, button="left", clickCount=1)
    whole = "document.querySelector('.tools button:last-of-type').disabled"
    assert browser.run(whole) is False  # a part is shown
    browser.run("document.querySelector('[data-chart=bits] .live').focus()")
    browser.press("0")
    assert browser.run(whole) is True
    browser.press("End")
    said = "document.querySelector('[data-chart=bits] .said').textContent"
    assert browser.run(said) == "5.12k tokens · 10 steps · 0.1667 hours, train 1.9450, valid 1.9510"
    browser.press("ArrowLeft")
    assert browser.run(said).startswith("4.608k tokens · 9 steps · 0.15 hours, train 1.9500, valid 1.9600")
    browser.run("document.querySelector('input[value=hours]').click()")
    assert browser.run("document.querySelector('[data-chart=bits] .live').textContent").count("hours of training") == 1


def test_everything_that_answers_is_reached_by_tab(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["run"], 1280)
    unreachable = (
        "[...document.querySelectorAll('a,button,input,summary,.live,.scroll,pre')]"
        ".filter(x => x.tabIndex < 0).map(x => x.outerHTML.slice(0, 80))"
    )
    assert browser.run(unreachable) == []
