"""Door law: each heavy dependency is imported in one place; prep runs without torch; the model knows no ranks."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from ranks import REPO

SOURCES = [path for room in ("hdna", "data_prep", "cluster") for path in sorted((REPO / room).rglob("*.py"))]
DOORS = {
    "omegaconf": {"hdna/config"},
    "obstore": {"hdna/storage.py"},
    "zarr": {"hdna/genome/arrays.py"},
    "webdataset": {"hdna/data/stream.py"},
    "deepspeed": {"hdna/train/engine.py"},
    "apex": {"hdna/train/engine.py"},
    "ray": {"cluster/hdna_cluster/launch.py"},
    "matplotlib": {"hdna/report/plots.py"},
    "safetensors": {"hdna/checkpoint/files.py"},
}
HEAVY = ("torch", "deepspeed", "ray", "webdataset", "zarr", "matplotlib", "omegaconf", "obstore", "numpy")

BLOCKED = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "deepspeed", "ray", "webdataset", "safetensors"):
            raise ImportError(f"{name} is not on this machine")
sys.meta_path.insert(0, NoTorch())
from hdna.cli import main
sys.argv = ["hdna", *sys.argv[1:]]
main()
"""


def imported(path: Path) -> set[str]:
    """Top-level names of the packages a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", DOORS)
def test_a_heavy_dependency_has_one_door(package):
    places = {path.relative_to(REPO).as_posix() for path in SOURCES if package in imported(path)}
    assert places
    assert all(any(place == door or place.startswith(f"{door}/") for door in DOORS[package]) for place in places), (
        places
    )


def test_the_floors_hold():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("room", ["hdna/model", "hdna/ops", "hdna/data", "hdna/evaluate", "hdna/interop"])
def test_torch_distributed_is_refused_where_ranks_are_unknown(room):
    """The sieve itself: ruff stops a file of that room that would import it."""
    ruff = Path(sys.executable).with_name("ruff")
    command = [ruff, "check", "--select", "TID251", "--stdin-filename", f"{room}/some_file.py", "-"]
    for code in ("import torch.distributed as dist\n", "from torch import distributed\n"):
        done = subprocess.run(command, cwd=REPO, input=code, capture_output=True, text=True, check=False)
        assert "TID251" in done.stdout


def test_prep_runs_on_a_machine_without_torch(tmp_path):
    def hdna(*command: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", BLOCKED, *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    hdna("prep", "synth", "--out", "g.fa", "--bases", "50000")
    hdna("prep", "genome", "g.fa", "--out", "g.zarr")
    hdna("prep", "shards", "g.zarr", "--out", "shards", "--window", "1024")
    hdna("prep", "verify", "shards")
    hdna("prep", "fasta", "g.zarr", "--out", "back.fa")
    hdna("recipes")


def test_help_answers_at_once():
    code = "import sys, hdna.cli; print(sorted(set(sys.modules) & set(sys.argv[1:])))"
    done = subprocess.run([sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_model_brings_no_launcher_and_no_engine():
    code = "import sys, hdna.model, hdna.ops; print(sorted(set(sys.modules) & set(sys.argv[1:])))"
    above = ("deepspeed", "ray", "hdna.parallel", "hdna.train")
    done = subprocess.run([sys.executable, "-c", code, *above], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
