"""The `hdna` command, one module per subcommand.

Heavy imports stay inside the handlers, so that `hdna --help` answers at once.
"""

import io
import os
import sys
import tempfile
import traceback
from importlib import metadata
from typing import Annotated

import typer
from typer.core import TyperGroup

from hdna.cli import (
    adapt,
    bench,
    checkpoints,
    doctor,
    evaluate,
    export,
    import_weights,
    init,
    plan,
    prep,
    recipes,
    report,
    runs,
    train,
)
from hdna.errors import InputError, without_secrets

ORDER = (
    "prep", "init", "recipes", "plan", "train", "runs", "report", "checkpoints", "import", "export", "adapt", "eval",
    "doctor", "bench",
)  # fmt: skip
"""Of the commands in the help: as they are used."""


class _AsUsed(TyperGroup):
    """A group that lists its commands in ORDER."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # click's own context class
        """Names of the commands."""
        return sorted(self.commands, key=ORDER.index)


app = typer.Typer(
    name="hdna",
    cls=_AsUsed,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Pretrain HyenaDNA models, from a FASTA file to a checkpoint and a report.",
)
app.add_typer(prep.app, name="prep")
app.command("init")(init.init)
app.command("plan")(plan.plan)
app.command("train")(train.train)
app.command("adapt")(adapt.adapt)
app.command("recipes")(recipes.recipes)
app.command("import")(import_weights.import_weights)
app.command("export")(export.export)
app.add_typer(checkpoints.app, name="checkpoints")
app.command("runs")(runs.runs)
app.command("report")(report.report)
app.command("doctor")(doctor.doctor)
app.add_typer(evaluate.app, name="eval")
app.add_typer(bench.app, name="bench")


DEBUG = "HDNA_DEBUG"
"""Environment variable that `--debug` sets: unexpected errors keep their traceback."""


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"hdna {metadata.version('hdna')}")
        raise typer.Exit


@app.callback()
def _hdna(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")] = False,
) -> None:
    if debug:
        os.environ[DEBUG] = "1"


def main() -> None:
    """Run the command line. Exit status: 0 done, 1 bad input or data, 2 usage error; one line says what is wrong."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
    try:
        sys.exit(app(standalone_mode=False))  # otherwise a usage error is three lines
    except typer.TyperException as error:
        print(_usage_error(error), file=sys.stderr)
        sys.exit(2)
    except InputError as error:
        sys.exit(f"hdna: error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except MemoryError as error:
        sys.exit(f"hdna: error: too little memory ({error or 'none left'}): use a machine with more, or ask for less")
    except BrokenPipeError:  # `hdna ... | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        sys.exit(_last_net(error))


def _usage_error(error: typer.TyperException) -> str:
    """One line that says where to look, or the help of a group that was called without a command."""
    context, message = getattr(error, "ctx", None), error.format_message()
    if context and message == context.get_help():
        return message
    help_command = f"{context.command_path if context else 'hdna'} --help"
    return without_secrets(f"hdna: error: {' '.join(message.split()).rstrip('.')}: see '{help_command}'")


def _last_net(error: Exception) -> str:
    """One line for an error nobody foresaw, which is always a bug; its traceback goes to a file."""
    descriptor, path = tempfile.mkstemp(prefix="hdna-error-", suffix=".txt")
    with os.fdopen(descriptor, "w", errors="replace") as file:
        file.write(without_secrets("".join(traceback.format_exception(error))))
    what = without_secrets(" ".join(f"{type(error).__name__}: {error}".split()))[:300]
    return f"hdna: error: unexpected {what}: this is a bug: report it with {path} and the output of 'hdna doctor'"
