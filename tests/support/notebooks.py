"""Notebooks of the documentation, executed. `python tests/support/notebooks.py NOTEBOOK`: with its outputs, in place.

The kernel is this interpreter, with what it imports and the commands installed beside it, whatever kernels the user has
installed.
"""

import base64
import hashlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from PIL import Image

PARAMETERS = "parameters"
"""The tag of the cell that sets what may be changed."""
EXECUTED = "executed_sources_sha256"
"""Of the notebook's metadata: the digest of the sources that its outputs are of."""
_CELL_TIMEOUT_S = 3600
_KERNEL = "hdna"
_COLORS = 256
"""Of a committed figure, which is then about half the size."""


def read_notebook(path: Path) -> NotebookNode:
    """The notebook in a file."""
    return nbformat.read(path, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Those of its cells that are executed, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def sources_digest(notebook: NotebookNode) -> str:
    """sha256 of all code."""
    return hashlib.sha256(json.dumps([cell.source for cell in code_cells(notebook)]).encode()).hexdigest()


def execute(notebook: NotebookNode, folder: Path, parameters: str = "", afterwards: str = "") -> None:
    """Execute all cells in `folder`, which gets what they write. The outputs are put into the notebook.

    Args:
        notebook: the first cell that is tagged as `PARAMETERS` sets what may be changed.
        folder: an empty one, removed afterwards by the caller.
        parameters: code of a cell after that one.
        afterwards: code of a last cell.

    Raises CellExecutionError, with what a cell said, when it fails.

    """
    if parameters:
        tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
        place = next(place for place, own in enumerate(tags) if PARAMETERS in own)
        notebook.cells.insert(place + 1, new_code_cell(parameters))
    if afterwards:
        notebook.cells.append(new_code_cell(afterwards))
    with tempfile.TemporaryDirectory(prefix="kernel-") as own:
        manager = _kernel(Path(own))
        client = NotebookClient(
            notebook, km=manager, timeout=_CELL_TIMEOUT_S, record_timing=False, coalesce_streams=True
        )
        client.execute(cwd=str(folder), env=_environment(Path(own)))


def execute_in_place(path: Path) -> None:
    """Execute a notebook and write it back with its outputs, in which the folder of the execution is nowhere."""
    notebook = read_notebook(path)
    digest, kept = sources_digest(notebook), dict(notebook.metadata)
    with tempfile.TemporaryDirectory(prefix="notebook-", ignore_cleanup_errors=True) as folder:
        execute(notebook, Path(folder))
        make_figures_small(notebook)
        text = nbformat.writes(notebook).replace(f"{Path(folder).resolve()}/", "")
    notebook = nbformat.reads(text, as_version=4)
    # Not the kernel's, whose versions would differ on every machine.
    notebook.metadata = NotebookNode(kept | {EXECUTED: digest})
    nbformat.write(notebook, path)


def make_figures_small(notebook: NotebookNode) -> None:
    """Give each figure among the outputs a palette of a few colors."""
    for output in (output for cell in code_cells(notebook) for output in cell.outputs):
        if png := output.get("data", {}).get("image/png"):
            small = io.BytesIO()
            Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").quantize(_COLORS).save(
                small, "PNG", optimize=True
            )
            output.data["image/png"] = base64.b64encode(small.getvalue()).decode()


def _kernel(folder: Path) -> AsyncKernelManager:
    spec = folder / "kernels" / _KERNEL
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": _KERNEL, "language": "python"}))
    specs = KernelSpecManager(kernel_dirs=[str(spec.parent)], ensure_native_kernel=False)
    # Sockets of the file system: no port, and nobody else can connect.
    return AsyncKernelManager(
        kernel_name=_KERNEL,
        kernel_spec_manager=specs,
        connection_file=str(folder / "connection.json"),
        transport="ipc",
        ip=str(folder / "socket"),
    )


def _environment(folder: Path) -> dict[str, str]:
    """Of the kernel: its `hdna` is the one beside the interpreter; IPython's history and settings are in `folder`."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return os.environ | {"PATH": path, "IPYTHONDIR": str(folder / "ipython")}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        execute_in_place(Path(name))
