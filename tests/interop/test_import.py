"""`hdna import`: every published layout in every kind of file; and what is refused, running nothing of it."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.layouts import hugging_face, hugging_face_tied, training_checkpoint
from torch import Tensor
from typer.testing import CliRunner

from hdna.checkpoint import load_weights
from hdna.cli import app
from hdna.config import load_recipe
from hdna.config.schema import ModelConfig
from hdna.errors import InputError
from hdna.interop import from_reference, to_reference
from hdna.interop.vocabulary import FLOOR
from hdna.model import HyenaDNA

GOLDEN = Path(__file__).parents[1] / "golden"
State = dict[str, Tensor]
GEOMETRIES = [(128, 2, 1026), (256, 2, 1026), (128, 2, 16386), (256, 4, 32770), (256, 8, 160002), (256, 8, 450002)]
"""d_model, n_layer and l_max of six of the seven published models; the seventh, of a million positions, takes the
memory of two of its tables."""


def standalone(config: ModelConfig) -> tuple[HyenaDNA, State]:
    torch.manual_seed(0)
    model = HyenaDNA(config)
    for parameter in model.parameters():  # norms' biases begin at zero
        parameter.data.add_(torch.randn_like(parameter), alpha=0.02)
    return model, to_reference(model.state_dict(), config)


def write(path: Path, state: State) -> Path:
    """As safetensors, as a bare pickle, or as a training checkpoint with its trainer's counts."""
    if path.suffix == ".safetensors":
        save_file({key: value.clone() for key, value in state.items()}, path)
    else:
        torch.save({"state_dict": state, "epoch": 3} if path.suffix == ".ckpt" else state, path)
    return path


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["import", *map(str, arguments)])
    error = str(done.exception) if done.exception and not isinstance(done.exception, SystemExit) else ""
    return done.exit_code, done.output + error


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "weights.ckpt"])
@pytest.mark.parametrize("layout", [dict, training_checkpoint, hugging_face, hugging_face_tied])
def test_every_layout_in_every_file_becomes_the_same_checkpoint(
    layout: Callable[[State], State], name: str, tmp_path: Path
) -> None:
    config = ModelConfig(d_model=8, n_layer=2, order=3, l_max=40, filter_order=4, d_inner=24)
    model, state = standalone(config)
    write(tmp_path / name, layout(state))
    code, output = run(tmp_path, "--out", tmp_path / "out")
    assert code == 0, output
    loaded = load_weights(str(tmp_path / "out"))
    assert loaded.keys() == dict(model.named_parameters()).keys()
    for key, parameter in model.named_parameters():
        assert torch.equal(loaded[key], parameter), key
    written = load_recipe(str(tmp_path / "out" / "recipe.yaml")).model
    assert (written.d_model, written.n_layer, written.order, written.l_max) == (8, 2, 3, 40)
    assert (written.filter_order, written.d_inner, written.shift) == (4, 24, 0.05)
    for key, value in to_reference(loaded, written).items():
        assert torch.equal(value, state[key]), key


@pytest.mark.parametrize(("width", "layers", "l_max"), GEOMETRIES)
def test_published_geometries_follow_from_the_tensors(width: int, layers: int, l_max: int, tmp_path: Path) -> None:
    config = ModelConfig(d_model=width, n_layer=layers, l_max=l_max)
    _, state = standalone(config)
    write(tmp_path / "model.safetensors", hugging_face(state))
    code, output = run(tmp_path, "--out", tmp_path / "out")
    assert code == 0, output
    assert f"d_model {width}, n_layer {layers}, order 2, l_max {l_max:,}, d_inner {4 * width}" in output


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.safetensors")), ids=lambda path: path.stem)
def test_the_reference_s_own_weights_give_its_own_logits(path: Path, tmp_path: Path) -> None:
    golden = load_file(path)
    weights = {key.removeprefix("weights."): value for key, value in golden.items() if key.startswith("weights.")}
    write(tmp_path / "weights.ckpt", training_checkpoint(weights))
    code, output = run(tmp_path / "weights.ckpt", "--out", tmp_path / "out")
    assert code == 0, output
    model = HyenaDNA(load_recipe(str(tmp_path / "out" / "recipe.yaml")).model).eval()
    model.load_state_dict(load_weights(str(tmp_path / "out")))
    with torch.no_grad():
        logits = model(golden["input_ids"])
    error = (logits - golden["logits"]).abs().max() / golden["logits"].abs().max()
    assert error < 1e-5  # the reference law's


def test_twelve_rows_become_sixteen_of_which_four_are_never_predicted(tmp_path: Path) -> None:
    """The probabilities of the twelve are those of a softmax over twelve: to 1e-6, fp32's rounding of logits."""
    config = ModelConfig(d_model=16, n_layer=1, l_max=40)
    model, state = standalone(config)
    short = {key: value[:12] if key.endswith(("word_embeddings.weight", "lm_head.weight")) else value
             for key, value in hugging_face(state).items()}  # fmt: skip
    write(tmp_path / "model.safetensors", short)
    code, output = run(tmp_path, "--out", tmp_path / "out")
    assert code == 0 and "12 vocabulary rows" in output, output
    filled = HyenaDNA(config).eval()
    filled.load_state_dict(load_weights(str(tmp_path / "out")))
    ids = torch.randint(7, 12, (2, 40))
    with torch.no_grad():
        logits, wanted = filled(ids), model.eval()(ids)[..., :12]
    torch.testing.assert_close(logits[..., 12:], torch.full_like(logits[..., 12:], FLOOR), atol=1e-2, rtol=0)
    torch.testing.assert_close(logits.softmax(-1)[..., :12], wanted.softmax(-1), atol=1e-6, rtol=0)


class RunsCode:
    """What a hostile pickle does: loaded in full, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_asks_to_run_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    file, trace = tmp_path / "weights.ckpt", tmp_path / "it-ran"
    torch.save({"state_dict": {"model.x": torch.zeros(1)}, "callbacks": RunsCode(trace)}, file)
    code, output = run(file, "--out", tmp_path / "out")
    assert code != 0 and "without running code" in output
    file.write_bytes(pickle.dumps(RunsCode(trace)))
    code, output = run(file, "--out", tmp_path / "out")
    assert code != 0 and "without running code" in output
    assert not trace.exists() and not (tmp_path / "out").exists()


def test_what_is_no_whole_language_model_is_refused_by_name(tmp_path: Path) -> None:
    config = ModelConfig(d_model=8, n_layer=1, l_max=40, filter_order=4)
    _, state = standalone(config)
    file, out = tmp_path / "model.safetensors", tmp_path / "out"

    def refused(state: State, words: str) -> None:
        write(file, state)
        code, output = run(file, "--out", out)
        assert code != 0 and words in output, output
        assert not out.exists()

    key = "backbone.layers.0.mlp.fc2.bias"
    refused({name: value for name, value in state.items() if name != key}, "mlp.fc2.bias is missing")
    refused(state | {key: torch.zeros(9)}, "mlp.fc2.bias has shape (9,)")
    refused(state | {key: torch.full((8,), torch.nan)}, "not finite")
    refused(state | {"backbone.other": torch.zeros(1)}, "unknown key 'backbone.other'")
    without = {name: value for name, value in state.items() if "pos_emb" not in name}
    refused(without, "l_max")
    (tmp_path / "config.json").write_text(json.dumps({"max_seq_len": 40, "n_layer": 2}))
    refused(without, "config.json says n_layer 2, but the weights have 1")
    file.write_bytes(b"not a file of tensors")
    code, output = run(file, "--out", out)
    assert code != 0 and "model.safetensors" in output


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("caduceus.backbone.layers.0.mixer.submodule.mamba_fwd.A_log", "Mamba"),
        ("blocks.0.filter.poles", "StripedHyena"),
        ("esm.encoder.layer.0.attention.self.key.weight", "ESM"),
        ("bert.encoder.layer.0.attention.self.Wqkv.weight", "BERT"),
        ("model.layers.0.self_attn.q_proj.weight", "Llama"),
        ("transformer.h.0.attn.c_attn.weight", "GPT-2"),
        ("model.decoder.0.output_transform.weight", "fine-tuned"),
    ],
)
def test_weights_of_another_architecture_are_said_to_look_like_it(key: str, name: str, tmp_path: Path) -> None:
    """Keys of public checkpoints."""
    file = write(tmp_path / "model.safetensors", {key: torch.zeros(2)})
    code, output = run(file, "--out", tmp_path / "out")
    assert code != 0 and "looks like" in output and name in output


def test_an_interrupted_import_goes_on(tmp_path: Path) -> None:
    """The recipe is there, and a part of a checkpoint that was never committed."""
    _, state = standalone(ModelConfig(d_model=8, n_layer=1, l_max=40, filter_order=4))
    file, out = write(tmp_path / "model.safetensors", state), tmp_path / "out"
    assert run(file, "--out", out)[0] == 0
    (checkpoint,) = (out / "checkpoints").iterdir()
    (checkpoint / "MANIFEST.json").unlink()
    code, output = run(file, "--out", out)
    assert code == 0, output
    expected = from_reference(state)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in load_weights(str(out)).items())
    assert run(file, "--out", out)[0] != 0


def test_a_taken_place_is_refused(tmp_path: Path) -> None:
    _, state = standalone(ModelConfig(d_model=8, n_layer=1, l_max=40, filter_order=4))
    write(tmp_path / "model.safetensors", state)
    assert run(tmp_path, "--out", tmp_path / "out")[0] == 0
    code, output = run(tmp_path, "--out", tmp_path / "out")
    assert code != 0 and "already contains" in output


def test_from_reference_needs_the_final_norm_to_add_rows() -> None:
    _, state = standalone(ModelConfig(d_model=8, n_layer=1, l_max=40, filter_order=4))
    key = "backbone.embeddings.word_embeddings.weight"
    short = state | {key: state[key][:12]}
    assert len(from_reference(short)["embedding.weight"]) == 16
    with pytest.raises(InputError, match="the final norm is needed too"):
        from_reference({name: value for name, value in short.items() if "ln_f" not in name})
