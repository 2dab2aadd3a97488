"""`hdna plan`: what a recipe needs, before launch."""

import json
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdna.cli.arguments import Json, Overrides, Recipe
from hdna.errors import InputError

if TYPE_CHECKING:
    from hdna_cluster.plan import Plan


class DeviceName(StrEnum):
    """Devices with known data sheets, or this machine's CPU."""

    h200 = "h200"
    h100 = "h100"
    a100 = "a100"
    a100_40gb = "a100-40gb"
    cpu = "cpu"


def plan(
    recipe: Recipe,
    overrides: Overrides = None,
    devices: Annotated[int | None, typer.Option(help="Number of devices, overriding parallel.workers.")] = None,
    device: Annotated[DeviceName, typer.Option(help="Kind of device.")] = DeviceName.h100,
    price: Annotated[
        float | None, typer.Option(help="Of a device for an hour, in any currency: shows what the run costs.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a recipe, and estimate its memory, traffic and time.

    Every key is checked as 'hdna train' would check it, and nothing is started: this is how to validate a recipe.
    With a price, also what the run at run.url has cost so far, and will cost in the end at its pace.

    \b
    Example:
      hdna plan large_1m
      hdna plan mine.yaml --device a100 curriculum.0.micro_batch_size=4
      hdna plan large_1m --price 2.50 run.url=s3://my-bucket/large_1m
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna.cli.plan_text import plan_text, price_text
    from hdna.config import load_recipe
    from hdna.devices import DEVICES, cpu_share, machine_bytes
    from hdna_cluster.plan import plan as planned

    workers = [] if devices is None else [f"parallel.workers={devices}"]
    config = load_recipe(recipe, [*(overrides or []), *workers])
    on_cpu = device is DeviceName.cpu
    kind = cpu_share(machine_bytes(), config.parallel.workers) if on_cpu else DEVICES[device.value]
    if price is not None and not 0 <= price < float("inf"):
        raise InputError(f"--price: {price:g}: want what one device costs for an hour, as in --price 2.50")
    made = planned(config, kind)
    if as_json:
        typer.echo(json.dumps(_fields(recipe, made, price), indent=1))
    else:
        typer.echo(plan_text(recipe, made) + ("" if price is None else f"\n\n{price_text(made, price)}"))


def _fields(recipe: str, made: "Plan", price: float | None) -> dict[str, Any]:
    """Seconds, bytes and counts, as in the plan's own terms; null where unknown."""
    from hdna_cluster.price import least_worker_hours, spending

    found: dict[str, Any] = {
        "recipe": recipe,
        "device": made.device.name,
        "workers": made.config.parallel.workers,
        "least_seconds": made.seconds,
        "expected_seconds": made.expected_seconds,
        "stages": [{**asdict(stage), "steps": stage.steps} for stage in made.stages],
        "advice": made.advice,
    }
    if price is not None:
        run = spending(made)
        hours = {"least_worker_hours": least_worker_hours(made), **(asdict(run) if run else {})}
        found["price"] = {"per_worker_hour": price, **hours}
    return found
