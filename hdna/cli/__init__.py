"""The `hdna` command, one module per subcommand.

Heavy imports stay inside the handlers, so that `hdna --help` answers at once.
"""

import os
import sys
import tempfile
import traceback
from typing import Annotated

import typer

from hdna.cli import checkpoints, doctor, plan, prep, recipes, report, train
from hdna.errors import InputError, without_secrets

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


DEBUG = "HDNA_DEBUG"
"""Environment variable that `--debug` sets: unexpected errors keep their traceback."""


@app.callback()
def _hdna(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")] = False,
) -> None:
    if debug:
        os.environ[DEBUG] = "1"


def main() -> None:
    """Run the command line. Exit status: 0 done, 1 bad input or data (one line says what), 2 usage error."""
    try:
        app()
    except InputError as error:
        sys.exit(f"hdna: error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `hdna ... | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        sys.exit(_last_net(error))


def _last_net(error: Exception) -> str:
    """One line for an error nobody foresaw, which is always a bug; its traceback goes to a file."""
    descriptor, path = tempfile.mkstemp(prefix="hdna-error-", suffix=".txt")
    with os.fdopen(descriptor, "w", errors="replace") as file:
        file.write(without_secrets("".join(traceback.format_exception(error))))
    what = without_secrets(" ".join(f"{type(error).__name__}: {error}".split()))[:300]
    return f"hdna: error: unexpected {what}: this is a bug: report it with {path} and the output of 'hdna doctor'"
