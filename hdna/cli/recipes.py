"""`hdna recipes`: list the shipped recipes, print one, or copy one."""

from typing import Annotated

import typer


def recipes(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A shipped recipe to print.")] = None,
    copy: Annotated[str | None, typer.Option(help="Write it to this file instead, its JSON Schema beside it.")] = None,
) -> None:
    """List the shipped recipes, print one, or copy one to edit.

    \b
    Example:
      hdna recipes
      hdna recipes small_32k --copy mine.yaml
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna import storage
    from hdna.config import list_recipes, recipe_text
    from hdna.config.json_schema import FILE_NAME, schema_text
    from hdna.errors import InputError

    if name is None:
        if copy is not None:
            raise InputError("--copy: name a recipe, as in: hdna recipes quickstart --copy mine.yaml")
        for known, path in list_recipes().items():
            typer.echo(f"{known:<14}{path.read_text(encoding='utf-8').splitlines()[0].lstrip('# ')}")
        return
    text = recipe_text(name)
    if copy is None:
        typer.echo(text, nl=False)
        return
    folder = storage.local_path(copy).parent
    if not folder.is_dir():
        raise InputError(f"{copy}: folder {folder} does not exist: create it, or choose another")
    if not storage.write_if_absent(copy, text.encode()):
        raise InputError(f"{copy}: already exists: choose another name")
    storage.write(str(folder / FILE_NAME), schema_text().encode())
    typer.echo(f"{copy}: edit it, then run: hdna train {copy}\n{folder / FILE_NAME}: completes keys in editors")
