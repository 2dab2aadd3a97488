"""`hdna init`: from genomes to a commented recipe and the commands to type."""

import re
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from hdna.cli.columns import right_aligned
from hdna.cli.plan import DeviceName
from hdna.quantities import duration

if TYPE_CHECKING:
    from hdna.init.choice import Choice


def init(
    genomes: Annotated[
        list[str], typer.Argument(metavar="GENOME...", help="FASTA files or genome stores, one for each assembly.")
    ],
    out: Annotated[str, typer.Option(help="Recipe to write.")] = "recipe.yaml",
    devices: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="How many devices [default: all of this machine].")
    ] = None,
    device: Annotated[
        DeviceName | None, typer.Option(help="Kind of device [default: this machine's, timed on a few steps].")
    ] = None,
    hours: Annotated[float | None, typer.Option(help="How long the run may take [default: one pass or so].")] = None,
) -> None:
    """Choose a recipe for your genomes on this machine.

    Every number in the recipe has its reason beside it. The plan and the commands to type are printed; nothing is
    prepared or trained.

    \b
    Example:
      hdna init yeast.fa.gz --hours 2
      hdna init rice.fa maize.fa --out grasses.yaml --device h200 --devices 8
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna import storage
    from hdna.errors import InputError
    from hdna.init.choice import choose
    from hdna.init.genomes import read_genomes
    from hdna.init.machine import known_machine, this_machine
    from hdna.init.recipe_text import commands, recipe_text
    from hdna.storage.os_errors import os_errors_explained

    path = storage.local_path(out)
    with os_errors_explained(out):
        if path.exists():
            raise InputError(f"{out}: already exists: choose another --out, or remove it")
        if not path.parent.is_dir():
            raise InputError(f"{out}: folder {path.parent} does not exist: create it, or choose another")
    found = read_genomes(genomes)
    elsewhere = device is not None and device is not DeviceName.cpu
    machine = known_machine(device.value, devices) if device and elsewhere else this_machine(devices)
    name = _name(found[0].assembly) + (f"-and-{len(found) - 1}-more" if len(found) > 1 else "")
    made = choose(found, machine, hours, f"runs/{name}", f"work/{name}/shards")
    text = recipe_text(made, out, f"work/{name}")
    if not storage.write_if_absent(out, text.encode()):
        raise InputError(f"{out}: already exists: choose another --out, or remove it")
    typer.echo(f"{out}: {_summary(made)}\n\n{_table(made)}\n\n" + "\n".join(commands(made, out, f"work/{name}")))


def _summary(made: "Choice") -> str:
    from hdna.init.recipe_text import TOO_SMALL
    from hdna.model.flops import parameter_count

    machine, time = made.machine, made.expected_seconds
    expected = "time unknown" if time is None else f"about {duration(time)}"
    text = (
        f"{parameter_count(made.config.model):,} parameters, {made.tokens:,} tokens, {expected}\n"
        f"on {machine.workers} x {machine.device.name}\nspeed {machine.source}"
    )
    return text if made.is_trained_enough else f"{text}\n{textwrap.fill(TOO_SMALL, 80)}"


def _table(made: "Choice") -> str:
    """A line for each stage: what `hdna plan` computes, the epochs, and the time."""
    rows = [["stage", "context", "batch", "steps", "tokens", "epochs", "GiB", "of", "time"]]
    batch, has = made.config.optim.global_batch_tokens, made.machine.device.memory_bytes / 2**30
    for number, planned in enumerate(made.plan.stages):
        stage, tokens = planned.stage, planned.steps * batch
        samples = f"{stage.largest_micro_batch(planned.data_ranks)} x {planned.data_ranks} x {planned.accumulation}"
        time = "-" if made.stage_seconds is None else duration(made.stage_seconds[number])
        epochs, gib = f"{tokens / made.train_bases:.2f}", f"{planned.total / 2**30:.2f}"
        row = [str(number), f"{stage.context_length:,}", samples, f"{planned.steps:,}", f"{tokens:,}"]
        rows.append([*row, epochs, gib, f"{has:.1f}", time])
    return f"{right_aligned(rows)}\nbatch: micro-batch x workers x accumulation; GiB: of a worker's memory"


def _name(assembly: str) -> str:
    """A folder's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", assembly).strip("._-") or "genome"
