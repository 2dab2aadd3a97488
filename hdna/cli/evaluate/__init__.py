"""`hdna eval`: is a checkpoint any good, for what, and compared with what. One file for each command."""

import typer

from hdna.cli.evaluate import context, embed, needle, presets, report, task, variants

app = typer.Typer(
    name="eval",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Judge a checkpoint: context, tasks, variants, embeddings.",
)
app.command("context")(context.context)
app.command("task")(task.task)
app.command("presets")(presets.presets)
app.command("variants")(variants.variants)
app.command("embed")(embed.embed)
app.command("needle")(needle.needle)
app.command("report")(report.report)
