"""`hdna eval`: is a checkpoint any good, for what, and compared with what. One file for each command."""

import typer

from hdna.cli.evaluate.presets import presets
from hdna.cli.evaluate.report import report
from hdna.cli.evaluate.task import task
from hdna.cli.evaluate.variants import variants
from hdna.cli.evaluate import context, needle
from hdna.cli.evaluate import context, embed, needle

app = typer.Typer(
    name="eval",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Judge a checkpoint: context, labelled tasks, variants, embeddings, and the report that gathers all of it.",
)
app.command("task")(task)
app.command("presets")(presets)
app.command("report")(report)
app.command("variants")(variants)
app.command("context")(context.context)
app.command("embed")(embed.embed)
app.command("needle")(needle.needle)
