"""The `hdna` command, one module per subcommand.

Heavy imports stay inside the handlers, so that `hdna --help` answers at once.
"""

import sys

import typer

from hdna.cli import checkpoints, doctor, plan, prep, recipes, report, train
from hdna.errors import InputError

app = typer.Typer(
    name="hdna",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Pretrain HyenaDNA models, from a FASTA file to a checkpoint and a report.",
)
app.add_typer(prep.app, name="prep")
app.command("plan")(plan.plan)
app.command("train")(train.train)
app.command("recipes")(recipes.recipes)
app.add_typer(checkpoints.app, name="checkpoints")
app.command("report")(report.report)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line. Exit status: 0 done, 1 bad input or data (one line says what), 2 usage error."""
    try:
        app()
    except InputError as error:
        sys.exit(f"hdna: error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
