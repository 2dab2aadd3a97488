"""`hdna import`: published weights as a checkpoint."""

from typing import Annotated

import typer

Weights = Annotated[
    str,
    typer.Argument(
        metavar="WEIGHTS",
        help="A weights file, or a folder with model.safetensors, pytorch_model.bin or weights.ckpt; a path or a URL.",
    ),
]


def import_weights(
    weights: Weights,
    out: Annotated[str, typer.Option("--out", metavar="URL", help="Folder or bucket URL of the new checkpoint.")],
    shift: Annotated[
        float | None,
        typer.Option(
            help="Of the filter's modulation, which no tensor says: 0.0 in the original training code. By default what "
            "the config.json of an export says, else 0.05."
        ),
    ] = None,
) -> None:
    """Turn published HyenaDNA weights into a checkpoint.

    Read are training checkpoints, the standalone layout and that of the Hugging Face port; nothing in them is run.
    The geometry follows from the tensors.

    \b
    Example:
      hdna import hyenadna-tiny-1k-seqlen-hf --out imports/tiny-1k
      hdna import weights.ckpt --out s3://bucket/imports/large --shift 0.0
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna.interop.imports import translated, write_import
    from hdna.interop.weights_file import read_weights

    found = read_weights(weights)
    model = translated(found, shift)
    config, count = model.config, sum(tensor.numel() for tensor in model.parameters.values())
    typer.echo(f"{found.url}: {model.layout}, {count:,} parameters, {model.rows} vocabulary rows")
    typer.echo(
        f"model: d_model {config.d_model}, n_layer {config.n_layer}, order {config.order}, l_max {config.l_max:,}, "
        f"d_inner {config.d_inner}, filter_order {config.filter_order}, emb_dim {config.emb_dim}, shift {config.shift}"
    )
    typer.echo(f"checkpoint {write_import(model, found, out)}")
