"""`hdna export`: a checkpoint as a directory for other code."""

from enum import StrEnum
from typing import Annotated

import typer


class Layout(StrEnum):
    """What the directory is made for."""

    hf = "hf"
    standalone = "standalone"


def export(
    url: Annotated[
        str, typer.Argument(metavar="RUN_OR_CHECKPOINT", help="A run, whose newest intact checkpoint is taken, or one.")
    ],
    out: Annotated[
        str, typer.Option("--out", metavar="DIR", help="The new directory; it must not exist, or be empty.")
    ],
    to: Annotated[
        Layout,
        typer.Option("--to", help="hf: for Hugging Face transformers; standalone: for the reference's own file."),
    ],
) -> None:
    """Write weights for other code, with a model card.

    The directory for transformers (5.3 or later) works offline and without hdna. The card says what the run knows:
    data, curriculum, bits per base, cost, source; its licence is for you to fill in.

    \b
    Example:
      hdna export runs/quickstart --to hf --out exported
      hdna export runs/mine/checkpoints/step-000100 --to standalone --out exported
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna import storage
    from hdna.checkpoint import PARAMETERS, load_run_or_checkpoint
    from hdna.config.recipe import parse_recipe
    from hdna.errors import InputError
    from hdna.interop import exports
    from hdna.interop.geometry import refuse_misfits
    from hdna.report.card import CARD, model_card
    from hdna.report.card_subject import read_subject
    from hdna.storage.staging import publish_plain, refuse_existing, staging

    if not storage.is_local(out):
        raise InputError(f"{out}: not on this machine, where programs open such a directory: copy it there afterwards")
    refuse_existing(out, "model")
    checkpoint = load_run_or_checkpoint(url)
    config = parse_recipe(checkpoint.state.recipe, f"the recipe in {checkpoint.url}")
    write = exports.hugging_face if to is Layout.hf else exports.standalone
    parameters = checkpoint.tensors[PARAMETERS]
    refuse_misfits(parameters, config.model, checkpoint.url)
    files = write(parameters, config.model)
    files[CARD] = model_card(read_subject(checkpoint, config), to).encode()
    with staging(out, "model") as folder:
        for name, data in files.items():
            (folder / name).write_bytes(data)
        publish_plain(folder, out, "model")
    typer.echo(
        f"{out}: step {checkpoint.state.step:,} of {checkpoint.url}, {sum(map(len, files.values())):,} bytes in:"
    )
    typer.echo("  " + ", ".join(sorted(files)))
