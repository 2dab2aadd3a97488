"""`hdna eval report`: the evidence in a folder as a page and a JSON file in that folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from hdna import storage
from hdna.checkpoint import load_run_or_checkpoint
from hdna.config.recipe import parse_recipe
from hdna.downstream.benefits.build import build
from hdna.downstream.benefits.form import Benefits, Missing
from hdna.downstream.benefits.gather import gather
from hdna.downstream.benefits.page import render
from hdna.errors import InputError
from hdna.report.card_subject import read_subject
from hdna.report.page import PAGE

JSON = "benefits.json"


def write_benefits(run: str, out: str, require: bool = False, price_per_hour: float | None = None) -> Benefits:
    """Write the report about the checkpoint at `run` to the folder `out`, from the evidence there and below.

    Raises InputError when there is no checkpoint, when a file of evidence is damaged, and, before anything is written,
    when evidence is missing that `require` asks for.
    """
    checkpoint = load_run_or_checkpoint(run)
    config = parse_recipe(checkpoint.state.recipe, f"the recipe in {checkpoint.url}")
    subject = read_subject(checkpoint, config)
    device = subject.history.environment.get("device", "") if subject.history else ""
    report = build(gather(out, checkpoint.checksum, device), subject, run, out, price_per_hour)
    if require and report.missing:
        raise InputError(_all_missing(report.missing, run, out))
    text = json.dumps(asdict(report), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    page = render(report, subject.name)
    storage.write(storage.join(out, JSON), text.encode())
    storage.write(storage.join(out, PAGE), page.encode())
    return report


def _all_missing(missing: Sequence[Missing], run: str, out: str) -> str:
    lacking = "; ".join(one.what for one in missing)
    return (
        f"{out}: evidence is missing: {lacking}: 'hdna eval report {run} --out {out}' without --require writes a page "
        "that says which command makes each"
    )
