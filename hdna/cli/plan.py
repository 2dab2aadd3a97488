"""`hdna plan`: what a recipe needs, before launch."""

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hdna.cli.arguments import Overrides, Recipe
from hdna.cli.columns import right_aligned
from hdna.errors import InputError

if TYPE_CHECKING:
    from hdna_cluster.plan import Plan, StageEstimate

GIB = 2**30


class DeviceName(StrEnum):
    """Devices with known data sheets, or this machine's CPU."""

    h200 = "h200"
    h100 = "h100"
    a100 = "a100"
    cpu = "cpu"


def plan(
    recipe: Recipe,
    overrides: Overrides = None,
    devices: Annotated[int | None, typer.Option(help="Number of devices, overriding parallel.workers.")] = None,
    device: Annotated[DeviceName, typer.Option(help="Kind of device.")] = DeviceName.h100,
    price: Annotated[
        float | None, typer.Option(help="Of a device for an hour, in any currency: shows what the run costs.")
    ] = None,
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
    from hdna.config import load_recipe
    from hdna.devices import DEVICES, cpu_share
    from hdna_cluster.plan import plan as planned

    workers = [] if devices is None else [f"parallel.workers={devices}"]
    config = load_recipe(recipe, [*(overrides or []), *workers])
    if device is DeviceName.cpu:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        kind = cpu_share(machine, config.parallel.workers)
    else:
        kind = DEVICES[device.value]
    if price is not None and not 0 <= price < float("inf"):
        raise InputError(f"--price: {price:g}: want what one device costs for an hour, as in --price 2.50")
    made = planned(config, kind)
    typer.echo(_text(recipe, made) + ("" if price is None else f"\n\n{_price(made, price)}"))


def _text(recipe: str, made: "Plan") -> str:
    parallel = made.config.parallel
    kind = f"{parallel.workers} x {made.device.name}, {made.device.memory_bytes / GIB:.1f} GiB each"
    setting = f"{parallel.precision}, ZeRO {parallel.zero_stage}, long_conv {parallel.long_conv}"
    blocks = [
        f"{recipe} on {kind}; {setting}, activation_checkpointing {str(parallel.activation_checkpointing).lower()}",
        "Closed-form estimates: nothing was started or measured.",
        _work(made),
        _traffic(made),
        _memory(made),
        _bucket(made),
    ]
    return "\n\n".join(blocks)


def _work(made: "Plan") -> str:
    """Batches, FLOPs and lower bounds on time."""
    head = "stage|context|batch|sequence_parallel|steps|TFLOP/step|s/step >=|limit|stage h >="
    rows = [head.split("|")]
    for s in made.stages:
        batch = f"{s.stage.largest_micro_batch(s.data_ranks)} x {s.data_ranks} x {s.accumulation}"
        context, shared = f"{s.stage.context_length:,}", str(s.stage.sequence_parallel)
        times = ("-", "-", "-") if s.bounds is None else _times(s)
        rows.append([str(s.stage.index), context, batch, shared, f"{s.steps:,}", f"{s.step_flops / 1e12:,.2f}", *times])
    if made.seconds is None:
        end = "No time is estimated: this device's rates are not known."
    else:
        end = (
            f"whole run: at least {made.seconds / 3600:,.1f} h. Lower bounds, not forecasts: the largest of matrix\n"
            f"products at the dense {made.config.parallel.precision} peak, activations and transforms at the full\n"
            "memory rate, and messages at the full rate of the link within a node (vendor data sheet,\n"
            "dense). Real steps take longer; evaluations, checkpoints and links between nodes come on top."
        )
    note = "batch: micro-batch x data ranks x accumulation. TFLOP: model FLOPs on all devices, without recomputation."
    return f"Work\n{right_aligned(rows)}\n{note}\n{end}"


def _times(s: "StageEstimate") -> tuple[str, str, str]:
    assert s.bounds is not None and s.seconds is not None
    return f"{s.bounds.seconds:.3g}", s.bounds.limit, f"{s.seconds / 3600:.3g}"


def _traffic(made: "Plan") -> str:
    """Both strategies, whichever the recipe sets."""
    rows = [["stage", "slice", *(f"{kind} {unit}" for kind in made.stages[0].sent for unit in ("MiB", "collectives"))]]
    for s in made.stages:
        if s.stage.sequence_parallel > 1:
            cells = [x for t in s.sent.values() for x in (f"{t.bytes_sent / 2**20:,.2f}", f"{t.collectives:,}")]
            length = s.stage.context_length // s.stage.sequence_parallel
            rows.append([str(s.stage.index), f"{length:,}", *cells])
    title = "Sent per rank, layer and optimizer step (forward and backward, halo included)"
    if len(rows) == 1:
        return f"{title}\nnothing: no stage shares samples"
    return f"{title}\n{right_aligned(rows)}"


def _memory(made: "Plan") -> str:
    """Memory of one rank, and whether it fits."""
    recompute = made.config.parallel.activation_checkpointing
    labels = {flag: f"kept, checkpointing {'on' if flag else 'off'}" for flag in (False, True)}
    rows = [["stage", labels[recompute], labels[not recompute], "working", "params", "grads", "optimizer", "total", ""]]
    for s in made.stages:
        sizes = [s.saved[recompute], s.saved[not recompute], s.working, *s.state, s.total]
        rows.append([str(s.stage.index), *(_gib(size) for size in sizes), "fits" if s.fits else "TOO LARGE"])
    advice = [f"stage {index} does not fit: {text}" for index, text in made.advice.items()]
    note = (
        "Total: activations kept under the recipe's setting (the second column is the other), working memory of the\n"
        "backward pass, parameters, gradients, optimizer. A stage fits below 90 % of the device; the rest is left to\n"
        "CUDA, NCCL and the allocator."
    )
    return "\n".join(["Memory per rank, GiB", right_aligned(rows), note, *advice])


def _bucket(made: "Plan") -> str:
    """Requests to the bucket by occasion, and messages to the driver."""
    from hdna_cluster.scale import control
    from hdna_cluster.scale_bucket import hour, resume, save, shards_per_step, start

    config = made.config
    rows = [["", "GET", "PUT", "LIST", "DELETE", "in a row", "MiB read", "MiB written"]]
    occasions = {"start": start(config), "a save": save(config), "a resume": resume(config), "an hour": hour()}
    for name, load in occasions.items():
        counts = (load.requests.get, load.requests.put, load.requests.list, load.requests.delete, load.one_by_one)
        sizes = (load.bytes_read, load.bytes_written)
        rows.append([name, *(f"{count:,}" for count in counts), *(f"{size / 2**20:,.1f}" for size in sizes)])
    messages, per_hour = control(config.parallel.workers), made.shards_per_hour
    at_most = "" if per_hour is None else f" (at most {per_hour:,.0f} an hour)"
    note = (
        "In a row: each waits for the one before. An hour: of training, without its saves; "
        f"{hour().requests.total / 3600:.1f} requests a second.\n"
        f"Shards come on top: each node copies {shards_per_step(config):,.2g} a step{at_most}, until it has them all.\n"
        f"The driver: {messages.driver_per_s} messages a second, and one a step; Ray Train's controller: "
        f"{messages.controller_per_s:,.1f} a second."
    )
    return "\n".join(["Bucket and driver, with run.url and data.shards in buckets", right_aligned(rows), note])


def _price(made: "Plan", price: float) -> str:
    """The least that the run can cost; and what it does cost, once it has begun."""
    from hdna_cluster.price import least_worker_hours, spending

    def cost(hours: float) -> str:
        return f"{hours:,.2f} worker-hours, {hours * price:,.2f}"

    least, run = least_worker_hours(made), spending(made)
    bound = cost(least) if least else "unknown, as this device's rates are: what has been measured counts"
    lines = [f"Price, at {price:,.2f} for a worker and an hour", f"at least      {bound}"]
    if run is None:
        lines.append(f"so far        nothing: {made.config.run.url} has no steps yet")
    else:
        times = f", {run.expected / least:,.1f} times the least" if least else ""
        lines.append(f"so far        {cost(run.spent)}, for {run.share_of_tokens:.1%} of the tokens")
        lines.append(f"at this pace  {cost(run.expected)}{times}")
    return "\n".join(lines)


def _gib(size: int) -> str:
    """Three decimals below 1 GiB, two above."""
    return f"{size / GIB:,.2f}" if size >= GIB else f"{size / GIB:.3f}"
