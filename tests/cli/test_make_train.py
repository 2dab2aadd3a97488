"""`make train` as `make --dry-run` prints it: any file name, the chosen recipe, and the default's own."""

import shlex
import subprocess
from pathlib import Path

from support.fork_server import REPO


def steps(*words: str) -> list[list[str]]:
    """Arguments of every `hdna` that `make train WORDS` would run."""
    done = subprocess.run(
        ["make", "--dry-run", "train", *words], cwd=REPO, capture_output=True, text=True, check=True, timeout=60
    )
    commands = [line for line in done.stdout.splitlines() if line.startswith(".venv/bin/hdna ")]
    return [shlex.split(line)[1:] for line in commands]


def test_a_file_name_with_spaces_and_quotes(tmp_path: Path) -> None:
    genome = tmp_path / "it's S. cer (IV).fa.gz"
    genome.touch()
    folder = "work/it_s_S._cer_IV"
    prep, init, train, *_ = steps(f"GENOME={genome}", "HOURS=3")
    assert prep[:5] == ["prep", "genome", str(genome), "--out", f"{folder}/store.zarr"]
    assert init == ["init", f"{folder}/store.zarr", "--out", f"{folder}/recipe.yaml", "--hours", "3"]
    assert train[:2] == ["train", f"{folder}/recipe.yaml"]
    assert train[2:] == [f"data.shards={folder}/shards", "run.url=runs/it_s_S._cer_IV"]


def test_without_a_genome_it_is_quickstart() -> None:
    train = next(words for words in steps() if words[0] == "train")
    assert train == ["train", "quickstart", "data.shards=work/quickstart/shards", "run.url=runs/quickstart"]
