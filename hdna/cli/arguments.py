"""Arguments shared by several commands."""

from typing import Annotated, TypeAlias

import typer

Recipe: TypeAlias = Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe's name, or a YAML file.")]
Overrides: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(metavar="key=value", help="Overrides, as in curriculum.0.micro_batch_size=4."),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for programs.")]
RunUrl: TypeAlias = Annotated[str, typer.Argument(metavar="RUN_URL", help="A run's directory or bucket URL.")]
