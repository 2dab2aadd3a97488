"""What `hdna plan` prints: tables of 80 columns, a line for each stage."""

import textwrap
from typing import TYPE_CHECKING

from hdna.cli.columns import right_aligned
from hdna.quantities import duration

if TYPE_CHECKING:
    from hdna_cluster.plan import Plan, StageEstimate

GIB = 2**30
COLUMNS = 80
_BOUNDS = (
    "Lower bounds, not forecasts: the largest of matrix products at the dense peak, activations and transforms at the "
    "full memory rate, and messages at the full rate of the link within a node (vendor data sheet, dense). Real steps "
    "take longer; evaluations, checkpoints and links between nodes come on top."
)


def plan_text(recipe: str, made: "Plan") -> str:
    """All that is known before a launch."""
    parallel = made.config.parallel
    kind = f"{parallel.workers} x {made.device.name}, {made.device.memory_bytes / GIB:.1f} GiB each"
    setting = f"{parallel.precision}, ZeRO {parallel.zero_stage}, long_conv {parallel.long_conv}"
    recompute = f"activation_checkpointing {str(parallel.activation_checkpointing).lower()}"
    blocks = [
        _filled(f"{recipe} on {kind}; {setting}, {recompute}"),
        "Closed-form estimates: the recipe holds, and nothing was started.",
        _work(made),
        _time(made),
        _traffic(made),
        _memory(made),
        _bucket(made),
    ]
    return "\n\n".join(blocks)


def _work(made: "Plan") -> str:
    """Batches and FLOPs."""
    rows = [["stage", "context", "batch", "shared by", "steps", "TFLOP/step"]]
    for s in made.stages:
        batch = f"{s.stage.largest_micro_batch(s.data_ranks)} x {s.data_ranks} x {s.accumulation}"
        context, shared = f"{s.stage.context_length:,}", str(s.stage.sequence_parallel)
        tflop = s.step_flops / 1e12
        shown = f"{tflop:,.2f}" if tflop >= 0.1 else f"{tflop:.2g}"
        rows.append([str(s.stage.index), context, batch, shared, f"{s.steps:,}", shown])
    note = (
        "Batch: micro-batch x data ranks x accumulation. Shared by: ranks of a sample (sequence_parallel). TFLOP: "
        "model FLOPs on all devices, without recomputation."
    )
    return f"Work\n{right_aligned(rows)}\n{_filled(note)}"


def _time(made: "Plan") -> str:
    """Lower bounds on time, and what measurements let expect."""
    from hdna.benchmark.measured import SOURCES

    rows = [["stage", "s/step >=", "limit", "s/step expected", "stage >=", "stage expected"]]
    rows += [[str(s.stage.index), *_times(s)] for s in made.stages]
    least = "unknown" if made.seconds is None else f"at least {made.seconds / 3600:,.1f} h"
    whole = f"whole run: {least}; expected: {_shown(made.expected_seconds)}"
    bounds = "This device's rates are not known, so there are no bounds." if made.seconds is None else _BOUNDS
    return "\n".join(["Time", right_aligned(rows), whole, _filled(bounds), _filled(SOURCES)])


def _times(s: "StageEstimate") -> list[str]:
    step, limit = ("unknown", "-") if s.bounds is None else (f"{s.bounds.seconds:.3g}", s.bounds.limit)
    expected = "unknown" if s.expected_step is None else f"{s.expected_step:.3g}"
    return [step, limit, expected, _shown(s.seconds), _shown(s.expected_seconds)]


def _shown(seconds: float | None) -> str:
    return "unknown" if seconds is None else duration(seconds)


def _filled(text: str) -> str:
    return textwrap.fill(text, COLUMNS, break_long_words=False, break_on_hyphens=False)


def _traffic(made: "Plan") -> str:
    """Both strategies, whichever the recipe sets."""
    rows = [["stage", "slice", *(cell for kind in made.stages[0].sent for cell in (f"{kind}, MiB", "messages"))]]
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
    labels = {False: "kept, off", True: "kept, on"}
    rows = [["stage", labels[recompute], labels[not recompute], "working", "params", "grads", "optim.", "total", ""]]
    for s in made.stages:
        sizes = [s.saved[recompute], s.saved[not recompute], s.working, *s.state, s.total]
        rows.append([str(s.stage.index), *(_gib(size) for size in sizes), "fits" if s.fits else "TOO LARGE"])
    advice = [_filled(f"stage {index} does not fit: {text}") for index, text in made.advice.items()]
    note = (
        "Kept: activations, with activation_checkpointing off and on; the first is the recipe's. Total: with it, "
        "working memory of the backward pass, parameters, gradients, optimizer. A stage fits below 90 % of the device; "
        "the rest is left to CUDA, NCCL and the allocator."
    )
    return "\n".join(["Memory per rank, GiB", right_aligned(rows), _filled(note), *advice])


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
        f"{hour().requests.total / 3600:.1f} requests a second. "
        f"Shards come on top: each node copies {shards_per_step(config):,.2g} a step{at_most}, until it has them all. "
        f"The driver: {messages.driver_per_s} messages a second, and one a step; Ray Train's controller: "
        f"{messages.controller_per_s:,.1f} a second."
    )
    return "\n".join(["Bucket and driver, with run.url and data.shards in buckets", right_aligned(rows), _filled(note)])


def price_text(made: "Plan", price: float) -> str:
    """The least that the run can cost; and what it does cost, once it has begun."""
    from hdna_cluster.price import least_worker_hours, spending

    def cost(hours: float) -> str:
        return f"{hours:,.2f} worker-hours, {hours * price:,.2f}"

    least, run = least_worker_hours(made), spending(made)
    bound = cost(least) if least else "unknown, as this device's rates are: what has been measured counts"
    lines = [f"Price, at {price:,.2f} for a worker and an hour", f"at least      {bound}"]
    if made.expected_seconds is not None:
        lines.append(f"expected      {cost(made.expected_seconds / 3600 * made.config.parallel.workers)}")
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
