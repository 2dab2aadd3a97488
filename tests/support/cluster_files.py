"""The files in cluster/, the pages about them, and the commands in both."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
import yaml
from typer.core import TyperGroup

from hdna.cli import app
from hdna.config import load_recipe

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "cluster"
PAGES = sorted((ROOT / "docs" / "clusters").glob("*.md"))
FILES = sorted(path for path in CLUSTER.rglob("*") if path.is_file() and "hdna_cluster" not in path.parts)
STARTING_RAY = [
    *(CLUSTER / "kuberay").glob("ray*.yaml"),
    *(CLUSTER / "ray").iterdir(),
    CLUSTER / "slurm" / "train.sbatch",
    CLUSTER / "sky" / "train.yaml",
]
CONSTRAINTS = dict(
    re.findall(r"^([\w-]+)==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
)
BLOCK = re.compile(r"^```bash\n((?:.*\n)*?)```|((?:^    .*\n)+)", re.MULTILINE)
VALUES = {"BUCKET": "s3://bucket", "bucket": "bucket", "RECIPE": "small_32k"}
"""What the files' variables stand for; all others are numbers."""


def load(path: Path) -> Any:  # noqa: ANN401 - a tree of YAML
    return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)  # a schema of KubeRay has 1 MB


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def commands(program: str, text: str) -> Iterator[list[str]]:
    """Arguments of each call of `program` in shell text, with variables replaced."""
    text = re.sub(r"\$\(\([^)]*\)\)", "16", text.replace("\\\n", " ").replace('"$@"', "small_32k"))
    text = re.sub(r"\$\{?(\w+)\}?", lambda match: VALUES.get(match[1], "1"), text)
    for match in re.finditer(
        rf"(?<![\w./-])(?<!namespace ){program} ([a-z](?:'[^']*'|\"[^\"]*\"|[^\n;|&#'\"])*)", text
    ):
        yield shlex.split(match[1])


def shown(path: Path) -> str:
    """The shell text of a page's code blocks, or of a file without its comments, with YAML's line breaks undone."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return "\n".join("".join(match) for match in BLOCK.findall(text))
    if path.suffix == ".yaml":
        return "\n".join(strings(yaml.safe_load(text)))
    return re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)


def strings(tree: Any) -> Iterator[str]:  # noqa: ANN401 - a tree of YAML
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict | list):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from strings(item)


def check_hdna(arguments: list[str]) -> None:
    """The command and its options exist; so do recipe and keys, if it takes them."""
    command = typer.main.get_command(app)
    rest = list(arguments)
    while isinstance(command, TyperGroup):
        command = command.commands[rest.pop(0)]
    parameters = command.make_context("hdna", rest).params
    if "overrides" in parameters:
        load_recipe(parameters["recipe"], parameters["overrides"] or [])


def check_ray(arguments: list[str]) -> None:
    """The command and its options exist; so do those of the command it runs on the cluster."""
    from ray.scripts import scripts

    command: Any = scripts.cli
    rest = list(arguments)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    rest, entry = (rest[: rest.index("--")], rest[rest.index("--") :]) if "--" in rest else (rest, [])
    parameters = command.make_context("ray", [*rest, *entry]).params
    if arguments[0] == "symmetric-run":  # hands the rest to `ray start`
        unknown = command.make_context("ray", rest).params["ray_args_and_entrypoint"]
        scripts.cli.commands["start"].make_context("ray", list(unknown))
    for inner in commands("ray", parameters.get("cmd") or ""):
        check_ray(inner)
