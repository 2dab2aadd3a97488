"""The report in a real browser without a network: it is laid out, its figures are drawn, in light and on a phone."""

import shutil
import subprocess
from pathlib import Path
from typing import Protocol

import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest
from support.made_up_run import MakeRun

from hdna.report.drawing import COLOURS
from hdna.report.page import write_report

pytestmark = pytest.mark.browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
LIGHT = "--blink-settings=preferredColorScheme=1"
DARK = "--blink-settings=preferredColorScheme=0"


Pixels = npt.NDArray[np.int64]
"""(height, width, 3)"""


class Browse(Protocol):
    """Loads a page in headless Chromium with more flags, and returns what it prints."""

    def __call__(self, page: str | Path, *flags: str) -> str: ...


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """A function that loads a page; skips where there is no browser."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no chromium or google-chrome here: apt-get install chromium")

    def load(page: str | Path, *flags: str) -> str:
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [browser, *FLAGS, profile, *flags, Path(page).as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return load


def pixels(picture: Path) -> Pixels:
    """A screenshot as whole numbers."""
    colours: npt.NDArray[np.float32] = matplotlib.image.imread(picture)[..., :3]
    return np.round(colours * 255).astype(np.int64)


def count(picture: Pixels, colour: str) -> int:
    """Pixels of a colour, give or take one step in each channel."""
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return int((np.abs(picture - wanted).max(axis=2) <= 1).sum())


def test_page_is_read_by_a_browser(make_run: MakeRun, browse: Browse) -> None:
    dom = browse(write_report(str(make_run())), "--dump-dom")
    for heading in ("made &amp; up", "Bits per base", "Stages of the curriculum", "Recipe, as resolved", "Environment"):
        assert f">{heading}" in dom
    assert dom.count("<svg") == dom.count("</svg>") == 6
    assert "<script" not in dom and "&lt;script&gt;" in dom


def test_figures_are_drawn(make_run: MakeRun, browse: Browse, tmp_path: Path) -> None:
    target, picture = write_report(str(make_run())), tmp_path / "page.png"
    browse(target, LIGHT, "--window-size=1280,2600", f"--screenshot={picture}")
    page = pixels(picture)
    for role in ("train", "valid", "markov", "unigram", "entropy"):
        assert count(page, COLOURS[role]) > 40, role
    assert count(page, "#ffffff") > 500_000  # the cards
    assert count(page, "#f6f8fa") > 500_000  # the paper around them


def test_dark_page_has_its_own_colours(make_run: MakeRun, browse: Browse, tmp_path: Path) -> None:
    target, picture = write_report(str(make_run())), tmp_path / "page.png"
    browse(target, DARK, "--window-size=1280,2600", f"--screenshot={picture}")
    page = pixels(picture)
    assert page.mean() < 60 and count(page, COLOURS["valid"]) == 0
    assert count(page, "#ff7b8a") > 40  # valid
    assert count(page, "#6fb1e8") > 40  # train


def test_phone_page_is_no_wider_than_the_phone(make_run: MakeRun, browse: Browse, tmp_path: Path) -> None:
    """A frame of a phone's width: what is right of it stays the wrapper's white, and the phone's figure is shown."""
    run = make_run()
    wrapper, picture = tmp_path / "phone.html", tmp_path / "phone.png"
    source = Path(write_report(str(run))).relative_to(tmp_path).as_posix().replace(" ", "%20").replace("&", "%26")
    frame = f'<iframe src="{source}" width="375" height="3000" style="border:0"></iframe>'
    wrapper.write_text(f'<body style="margin:0;background:#ff00ff">{frame}</body>')
    browse(wrapper, LIGHT, "--window-size=600,3000", f"--screenshot={picture}")
    page = pixels(picture)
    assert count(page[:, 376:], "#ff00ff") == page[:, 376:].shape[0] * page[:, 376:].shape[1]
    assert count(page[:, :375], COLOURS["valid"]) > 40
    margin = page[:, 365:374]  # 0.8rem right of everything is paper, unless something sticks out
    assert count(margin, "#f6f8fa") == margin.shape[0] * margin.shape[1]
