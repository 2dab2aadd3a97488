"""`hdna bench`: the model against attention, and against fp64, on the device at hand."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Time the model against attention, or compare it with fp64.",
)

Out = Annotated[
    str | None, typer.Option(metavar="URL", help="Write the rows, and what they depend on, to this JSON file.")
]


@app.command()
def attention(
    paper: Annotated[bool, typer.Option("--paper", help="The paper's figure 4.1: heads of 16, up to 2^20.")] = False,
    head_dim: Annotated[int, typer.Option(help="Width of a head of attention.", min=1)] = 64,
    width: Annotated[int, typer.Option(help="d_model of both.", min=8)] = 128,
    layers: Annotated[int, typer.Option(help="Layers of both.", min=1)] = 2,
    longest: Annotated[
        int | None, typer.Option(help="Longest context; by default 2^20, on a CPU 2^14.", min=256)
    ] = None,
    limit: Annotated[
        float, typer.Option(help="Leave a model out where a step takes longer, in seconds.", min=0)
    ] = 60.0,
    repeats: Annotated[int, typer.Option(help="Timed steps of each; the median counts.", min=1)] = 3,
    out: Out = None,
) -> None:
    """Time HyenaDNA against a Transformer of the same size.

    Forward and backward, by context length. One sample; both recomputed block by block; the fastest attention that
    torch has on the device: bf16 on a GPU, fp32 on a CPU.

    \b
    Example:
      hdna bench attention
      hdna bench attention --paper --out attention.json
    """  # noqa: D301  (\b keeps the example on its own line)
    import torch

    from hdna.benchmark.attention import Setting, compare
    from hdna.errors import InputError

    head_dim = 16 if paper else head_dim
    if width % head_dim:
        raise InputError(f"--head-dim {head_dim} does not divide --width {width}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    end = longest or 2 ** (20 if paper or device.type == "cuda" else 14)
    lengths = [2**power for power in range(8, 31) if max(256, min(1024, end)) <= 2**power <= end]
    setting = Setting(width, layers, head_dim, bf16=device.type == "cuda")
    _head(device, f"{layers} layers, width {width}, heads of {head_dim}, {'bf16' if setting.bf16 else 'fp32'}")
    typer.echo(f"{'context':>10} {'hyena s':>10} {'attention s':>12} {'ratio':>8}  attention by")
    rows: list[dict[str, Any]] = []
    _write(out, device, {"setting": vars(setting)}, rows)
    for row in compare(setting, lengths, device, limit, repeats):
        rows.append({**vars(row), "ratio": row.ratio})
        numbers = f"{_number(row.hyena_seconds):>10} {_number(row.attention_seconds):>12} {_number(row.ratio):>8}"
        typer.echo(f"{row.context_length:10,} {numbers}  {row.attention}")
        _write(out, device, {"setting": vars(setting)}, rows)


@app.command()
def numerics(
    url: Annotated[
        str, typer.Argument(metavar="RUN_OR_CHECKPOINT", help="Folder or bucket URL of a run or a checkpoint.")
    ],
    length: Annotated[int, typer.Option(help="Random bases to run on; at most the model's l_max.", min=1)] = 1024,
    out: Out = None,
) -> None:
    """Compare a checkpoint's results with those in fp64.

    Logits, loss and gradients: in fp32, recomputed, in bf16, on each device here.

    \b
    Example:
      hdna bench numerics runs/quickstart
      hdna bench numerics s3://bucket/run --length 4096 --out numerics.json
    """  # noqa: D301  (\b keeps the example on its own line)
    import torch

    from hdna.benchmark.numerics import numerics as cards
    from hdna.checkpoint import load_run_or_checkpoint
    from hdna.config.recipe import parse_recipe
    from hdna.errors import InputError

    loaded = load_run_or_checkpoint(url)
    model = parse_recipe(loaded.state.recipe, f"the recipe in {loaded.url}").model
    if length > model.l_max:
        raise InputError(f"--length {length}: the model's l_max is {model.l_max:,}")
    device = torch.device("cpu")
    _head(device, f"{length:,} random bases")
    typer.echo(f"{'':32} {'logits':>9} {'gradients':>9} {'bits/base':>10} {'minus fp64':>11}")
    rows: list[dict[str, Any]] = []
    _write(out, device, {"length": length}, rows)
    for card in cards(model, loaded.tensors["parameters"], length):
        rows.append(vars(card))
        errors = f"{card.logits_error:9.1e} {card.gradient_error:9.1e}"
        typer.echo(f"{card.name:32} {errors} {card.bits_per_base:10.6f} {card.bits_error:+11.1e}")
    _write(out, device, {"length": length}, rows)


def _head(device: Any, setting: str) -> None:  # noqa: ANN401 - torch is imported late
    from hdna.benchmark.timing import conditions

    typer.echo(", ".join(f"{key} {value}" for key, value in conditions(device).items()) + f"; {setting}")


def _write(out: str | None, device: Any, setting: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:  # noqa: ANN401
    """Once before the first row too: a place that cannot be written is found before anything is timed."""
    if out is None:
        return
    from hdna import storage
    from hdna.benchmark.timing import conditions
    from hdna.devices import describe_device
    from hdna.run.utc import utc_now

    about = conditions(device) | {"device": describe_device(device), "date": utc_now()}
    storage.write(out, (json.dumps({**about, **setting, "rows": rows}, indent=1) + "\n").encode())


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
