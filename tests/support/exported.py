"""An exported directory with the reference's own weights, and what hdna says that it must give.

    python tests/support/exported.py GOLDEN.safetensors FOLDER

makes what `interop/without_hdna.py` checks.
"""

import json
import re
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

from hdna.checkpoint import load_weights
from hdna.config import load_recipe
from hdna.genome.alphabet import encode
from hdna.model import HyenaDNA
from support.command_line import hdna

LETTERS = b"ACGTNacgtnUuRYSWKMBDHVryswkmbdhv" * 3
DOCUMENT = Path(__file__).parents[2] / "docs" / "weights.md"
SHORTEST = 40
"""Bases of a batch's rows that the checks need."""


def export_golden(golden: Path, folder: Path) -> None:
    """Import the weights of a golden file, export them to `folder`/model, and write `folder`/expected.safetensors."""
    folder.mkdir(parents=True)
    with safe_open(golden, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        assert json.loads(file.metadata()["config"])["order"] == 2
    weights = {key.removeprefix("weights."): value for key, value in tensors.items() if key.startswith("weights.")}
    save_file(weights, folder / "model.safetensors")
    hdna("import", folder / "model.safetensors", "--out", folder / "imported")
    hdna("export", folder / "imported", "--to", "hf", "--out", folder / "model")
    examples = [example(DOCUMENT, '"exported"'), example(folder / "model" / "README.md", '"path/to/this/folder"')]
    (folder / "examples.json").write_text(json.dumps(examples))
    model = HyenaDNA(load_recipe(str(folder / "imported" / "recipe.yaml")).model).eval()
    model.load_state_dict(load_weights(str(folder / "imported")))
    ids = tensors["input_ids"]
    assert ids.shape[1] >= SHORTEST
    with torch.no_grad():
        hidden = model.hidden(ids)
    expected = {
        "input_ids": ids,
        "logits": tensors["logits"],
        "hidden": hidden,
        "loss": cross_entropy(tensors["logits"][:, :-1].flatten(0, 1), ids[:, 1:].flatten()),
        "letters": torch.frombuffer(bytearray(LETTERS), dtype=torch.uint8),
        "letter_ids": torch.from_numpy(encode(LETTERS)).long(),
    }
    save_file(expected, folder / "expected.safetensors")


def example(document: Path, place: str) -> str:
    """The block of Python that opens the directory, with the directory's own name in its `place`."""
    blocks = re.findall(r"^```python\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if "import AutoModelForCausalLM" in block)
    assert place in block
    return str(block).replace(place, '"model"')


if __name__ == "__main__":
    export_golden(Path(sys.argv[1]), Path(sys.argv[2]))
