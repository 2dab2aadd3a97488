"""Door law: each heavy dependency is imported in one place; prep runs without torch; the model knows no ranks."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.fork_server import REPO

PACKAGES = ("hdna", "data_prep/hdna_prep", "cluster/hdna_cluster")
SOURCES = [path for package in PACKAGES for path in sorted((REPO / package).rglob("*.py"))]
ROOMS = sorted({path.parent.relative_to(REPO).as_posix() for path in SOURCES} | {"bench", "tests", "tests/support"})
DOORS = {
    "OmegaConf": ("omegaconf", "hdna/config/recipe.py"),
    "obstore": ("obstore", "hdna/storage/"),
    "boto3": ("boto3", "hdna/storage/aws_session.py"),
    "botocore": ("botocore", "hdna/storage/aws_session.py"),
    "Zarr": ("zarr", "hdna/genome/arrays.py"),
    "WebDataset": ("webdataset", "hdna/data/open_shard.py"),
    "DeepSpeed": ("deepspeed", "hdna/train/engine.py"),
    "NVIDIA Apex": ("apex", "hdna/train/engine.py"),
    "Triton": ("triton", "hdna/ops/kernels/"),
    "Ray": ("ray", "cluster/hdna_cluster/"),
    "matplotlib": ("matplotlib", "hdna/report/drawing.py"),
    "safetensors": ("safetensors", "hdna/checkpoint/files.py"),
    "transformers": ("transformers", "hdna/interop/modeling_hyenadna.py"),
    "msgspec": ("msgspec", "hdna/storage/untrusted_json.py"),
    "pyarrow": ("pyarrow", "hdna/downstream/parquet.py"),
    "scikit-learn": ("sklearn", "hdna/downstream/tasks/kmer_baselines.py"),
    "scipy": ("scipy", "hdna/downstream/tasks/kmer_baselines.py"),
    "Weights & Biases": ("wandb", "hdna/run/wandb_run.py"),
    "MLflow": ("mlflow", "hdna/run/mlflow_run.py"),
}
"""Each heavy library, how it is imported, and the one file or room that imports it."""
HEAVY = (
    "torch",
    "deepspeed",
    "ray",
    "webdataset",
    "zarr",
    "matplotlib",
    "transformers",
    "omegaconf",
    "obstore",
    "numpy",
    "boto3",
    "pyarrow",
    "sklearn",
    "scipy",
    "wandb",
    "mlflow",
)

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


@pytest.mark.parametrize("library", DOORS)
def test_a_heavy_library_has_one_door(library: str) -> None:
    package, door = DOORS[library]
    files = {path.relative_to(REPO).as_posix() for path in SOURCES if package in imported(path)}
    assert files
    assert all(file.startswith(door) for file in files), files


def test_design_md_names_the_doors() -> None:
    table = (REPO / "docs" / "design.md").read_text().partition("| Library | Door |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([\w ,&-]+) \| `([\w/.]+)` \|$", table, re.MULTILINE)
    shown = {library: door for names, door in rows for library in names.split(", ")}
    assert shown == {library: door for library, (_, door) in DOORS.items()}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on the packages in a folder, by that folder's pyproject.toml."""
    path = os.pathsep.join(str((folder / package).parent) for package in PACKAGES)
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_floors_hold() -> None:
    done = lint_imports(REPO)
    assert done.returncode == 0, done.stdout


def test_a_module_on_no_floor_is_refused(tmp_path: Path) -> None:
    shutil.copy(REPO / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(REPO / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "hdna" / "utils.py").write_text('"""Odds and ends."""\n')
    done = lint_imports(tmp_path)
    assert done.returncode == 1
    assert "hdna.utils" in done.stdout or "utils" in done.stdout.split("Broken contracts")[1]


def refused(code: str, room: str) -> bool:
    """Whether ruff stops a file of that room."""
    ruff = str(Path(sys.executable).with_name("ruff"))
    command = [ruff, "check", "--select", "TID251", "--stdin-filename", f"{room}/some_file.py", "-"]
    done = subprocess.run(command, cwd=REPO, input=code, capture_output=True, text=True, check=False)
    return "TID251" in done.stdout


@pytest.mark.parametrize("room", ROOMS)
def test_collectives_are_for_parallel_and_pickles_for_interop_alone(room: str) -> None:
    for code in ("import torch.distributed as dist\n", "from torch import distributed\n"):
        assert refused(code, room) == (room != "hdna/parallel")
    for code in ("import torch\ntorch.load('x')\n", "from torch import load\n"):
        assert refused(code, room) == (room != "hdna/interop")


def test_prep_runs_on_a_machine_without_torch(tmp_path: Path) -> None:
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


def test_help_answers_at_once() -> None:
    code = "import sys, hdna.cli; print(sorted(set(sys.modules) & set(sys.argv[1:])))"
    done = subprocess.run([sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_model_brings_no_launcher_and_no_engine() -> None:
    code = "import sys, hdna.model, hdna.ops; print(sorted(set(sys.modules) & set(sys.argv[1:])))"
    above = ("deepspeed", "ray", "hdna.parallel", "hdna.train")
    done = subprocess.run([sys.executable, "-c", code, *above], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
