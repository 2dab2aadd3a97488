"""`hdna runs`: the runs below a folder or bucket."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdna.cli.arguments import Json
from hdna.cli.columns import right_aligned
from hdna.quantities import duration, short

if TYPE_CHECKING:
    from hdna.run.overview import Run


def runs(
    url: Annotated[str, typer.Argument(metavar="URL", help="A folder or bucket URL; searched below too.")] = "runs",
    as_json: Json = False,
) -> None:
    """List the runs in a folder or bucket: status, score, ETA.

    Runs that go on come first, then those that were lost: they say that they are running, but have been silent for a
    minute. Of each run only its state.json is read, so that a bucket of many objects answers quickly.

    \b
    Example:
      hdna runs
      hdna runs s3://bucket/experiments --json
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna.run.overview import runs_below

    found = runs_below(url)
    if as_json:
        typer.echo(json.dumps([_fields(run) for run in found], indent=1))
    elif found:
        typer.echo(_table(found))
    else:
        typer.echo(f"{url}: no run here or below", err=True)


def _fields(run: "Run") -> dict[str, Any]:
    """Of state.json, but for what it says differently: `status` knows lost runs."""
    state = asdict(run.state) if run.state else {}
    judged = {"status": run.status, "silent_seconds": run.silent_seconds, "seconds_left": run.seconds_left}
    return {"run": run.url, **state, **judged}


def _table(found: list["Run"]) -> str:
    """A row for each run, its name last, which may be long; then why some have failed, or what they wait for."""
    rows = [["status", "heard", "recipe", "tokens", "done", "best valid", "left"]]
    for run in found:
        state = run.state
        best = state.best_valid_bits_per_base if state else None
        rows.append(
            [
                run.status,
                "-" if run.silent_seconds is None else duration(run.silent_seconds),
                (state.recipe.rpartition("/")[2] if state else "") or "-",
                short(state.tokens) if state else "-",
                "-" if run.share is None else f"{run.share:.0%}",
                "-" if best is None else f"{best:.4f}",
                "-" if not run.seconds_left else duration(run.seconds_left),
            ]
        )
    names = ["run", *(run.name for run in found)]
    table = right_aligned(rows, names)
    messages = [f"{run.name}: {run.state.message}" for run in found if run.state and run.state.message]
    return "\n\n".join([table, "\n".join(messages)]) if messages else table
