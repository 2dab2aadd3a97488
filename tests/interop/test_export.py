"""`hdna export`: what other code opens, what comes back, what the card says, and what is refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.command_line import hdna
from support.exported import export_golden
from torch import Tensor
from typer.testing import CliRunner

from hdna.checkpoint import load_weights
from hdna.cli import app
from hdna.config import load_recipe
from hdna.config.schema import ModelConfig
from hdna.interop import to_reference
from hdna.model import HyenaDNA

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden" / "order2_d32.safetensors"
MAX_SECONDS = 120
Shapes = dict[str, tuple[int, ...]]


@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed: pip install hdna[hf]")
def test_transformers_opens_it_without_hdna(tmp_path: Path) -> None:
    export_golden(GOLDEN, tmp_path / "x")
    command = [sys.executable, "-I", str(HERE / "without_hdna.py"), str(tmp_path / "x")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=MAX_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].startswith("all of it with transformers")


def imported(folder: Path, config: ModelConfig) -> HyenaDNA:
    """A model with random parameters, and `folder`/imported, made of it."""
    torch.manual_seed(0)
    model = HyenaDNA(config)
    for parameter in model.parameters():  # norms' biases begin at zero
        parameter.data.add_(torch.randn_like(parameter), alpha=0.02)
    folder.mkdir(exist_ok=True)
    save_file(to_reference(model.state_dict(), config), folder / "weights.safetensors")
    layer = {"extended_from": config.extended_from, "filter_positions": config.filter_positions}
    (folder / "config.json").write_text(json.dumps({"layer": layer}))
    hdna("import", folder / "weights.safetensors", "--out", folder / "imported", "--shift", config.shift)
    return model


@pytest.mark.parametrize(
    ("layout", "config"),
    [
        ("hf", ModelConfig(d_model=8, n_layer=2, l_max=40, filter_order=4, d_inner=24)),
        ("standalone", ModelConfig(d_model=8, n_layer=2, order=3, l_max=40, shift=0.0, filter_order=4)),
        ("hf", ModelConfig(d_model=8, n_layer=1, l_max=100, extended_from=[30, 60], filter_order=4)),
        ("standalone", ModelConfig(d_model=8, n_layer=1, l_max=100, extended_from=[30], filter_positions="absolute")),
    ],
)
def test_an_export_imported_again_is_the_same_model(layout: str, config: ModelConfig, tmp_path: Path) -> None:
    model = imported(tmp_path, config)
    hdna("export", tmp_path / "imported", "--to", layout, "--out", tmp_path / "out")
    hdna("import", tmp_path / "out", "--out", tmp_path / "again")
    loaded = load_weights(str(tmp_path / "again"))
    assert loaded.keys() == dict(model.named_parameters()).keys()
    assert all(torch.equal(loaded[name], parameter) for name, parameter in model.named_parameters())
    recipes = [load_recipe(str(tmp_path / name / "recipe.yaml")).model for name in ("imported", "again")]
    assert recipes[0] == recipes[1] and recipes[1].shift == config.shift and recipes[1].order == config.order


def test_the_hf_layout_has_the_keys_and_fields_of_the_published_port(tmp_path: Path) -> None:
    """As its public code declares them: 27 tensors a layer with one frequency thrice, four beside them."""
    imported(tmp_path, ModelConfig(d_model=8, n_layer=2, l_max=40, filter_order=4))
    hdna("export", tmp_path / "imported", "--to", "hf", "--out", tmp_path / "out")
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    layer, filter_fn = "hyena.backbone.layers.1.", "hyena.backbone.layers.1.mixer.filter_fn."
    wanted: Shapes = {
        "lm_head.weight": (16, 8),
        "hyena.backbone.embeddings.word_embeddings.weight": (16, 8),
        "hyena.backbone.ln_f.weight": (8,),
        "hyena.backbone.ln_f.bias": (8,),
    }
    linear: Shapes = {"mixer.in_proj": (24, 8), "mixer.out_proj": (8, 8), "mlp.fc1": (32, 8), "mlp.fc2": (8, 32)}
    inner: Shapes = {"implicit_filter.0": (4, 5), "implicit_filter.2": (4, 4), "implicit_filter.4": (4, 4)}
    sizes: Shapes = {layer + key: shape for key, shape in linear.items()} | {filter_fn + k: s for k, s in inner.items()}
    sizes |= {f"{layer}norm1": (8,), f"{layer}norm2": (8,)}
    own: Shapes = {f"{key}.weight": shape for key, shape in sizes.items()} | {
        f"{k}.bias": s[:1] for k, s in sizes.items()
    }
    own |= {f"{layer}mixer.short_filter.weight": (24, 1, 3), f"{layer}mixer.short_filter.bias": (24,)}
    own |= {f"{filter_fn}implicit_filter.{sine}.freq": (1, 4) for sine in (1, 3, 5)}
    own |= {f"{filter_fn}implicit_filter.6.weight": (8, 4), f"{filter_fn}bias": (8,)}
    own |= {f"{filter_fn}pos_emb.z": (1, 40, 5), f"{filter_fn}pos_emb.t": (1, 40, 1)}
    own |= {f"{filter_fn}modulation.deltas": (1, 1, 8)}
    wanted |= own | {key.replace("layers.1.", "layers.0."): shape for key, shape in own.items()}
    assert {key: tuple(tensor.shape) for key, tensor in tensors.items()} == wanted
    assert torch.equal(tensors["lm_head.weight"], tensors["hyena.backbone.embeddings.word_embeddings.weight"])
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    fields = {
        "activation_freq": 10, "d_inner": 32, "d_model": 8, "emb_dim": 5, "embed_dropout": 0.1, "filter_order": 4,
        "hyena_dropout": 0.0, "hyena_filter_dropout": 0.0, "hyena_order": 2, "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-5, "max_seq_len": 40, "model_type": "hyenadna", "n_layer": 2, "num_inner_mlps": 2,
        "pad_token_id": 4, "pad_vocab_size_multiple": 8, "short_filter_order": 3, "tie_word_embeddings": False,
        "train_freq": True, "use_bias": True, "vocab_size": 12,
    }  # fmt: skip
    assert fields.items() <= config.items()


def test_the_standalone_layout_is_what_the_reference_loads(tmp_path: Path) -> None:
    """The golden weights of order 3, key by key, as the reference wrote them, and the arguments of its class."""
    golden = load_file(HERE.parent / "golden" / "order3_d16.safetensors")
    weights = {key.removeprefix("weights."): value for key, value in golden.items() if key.startswith("weights.")}
    save_file(weights, tmp_path / "weights.safetensors")
    hdna("import", tmp_path / "weights.safetensors", "--out", tmp_path / "imported")
    hdna("export", tmp_path / "imported", "--to", "standalone", "--out", tmp_path / "out")
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    assert tensors.keys() == weights.keys()
    for key, tensor in tensors.items():
        torch.testing.assert_close(tensor, weights[key], rtol=1e-6, atol=1e-6)  # tables, computed on other machines
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["d_model"], config["d_inner"], config["n_layer"], config["vocab_size"]) == (16, 64, 2, 12)
    assert config["layer"] | {"l_max": 64, "order": 3, "filter_order": 16, "shift": 0.05} == config["layer"]


def refusal(*words: object) -> str:
    """The one line that `hdna export` ends with."""
    done = CliRunner().invoke(app, ["export", *map(str, words)])
    assert done.exit_code != 0 and isinstance(done.exception, Exception), done.output
    message = str(done.exception)
    assert "\n" not in message
    return message


Refused = Callable[[Path], tuple[list[object], str]]


def _of_order_3(folder: Path) -> tuple[list[object], str]:
    imported(folder, ModelConfig(d_model=8, n_layer=1, order=3, l_max=40, filter_order=4))
    return [folder / "imported", "--to", "hf", "--out", folder / "out"], "order is 3, but the published port computes"


def _without_shift(folder: Path) -> tuple[list[object], str]:
    imported(folder, ModelConfig(d_model=8, n_layer=1, l_max=40, shift=0.0, filter_order=4))
    return [folder / "imported", "--to", "hf", "--out", folder / "out"], "shift is 0.0, but the published port always"


def _no_checkpoint(folder: Path) -> tuple[list[object], str]:
    return [folder / "missing", "--to", "hf", "--out", folder / "out"], "has no intact checkpoint"


def _taken(folder: Path) -> tuple[list[object], str]:
    imported(folder, ModelConfig(d_model=8, n_layer=1, l_max=40, filter_order=4))
    return [folder / "imported", "--to", "hf", "--out", folder], "already exists there"


def _bucket(folder: Path) -> tuple[list[object], str]:
    return [folder / "missing", "--to", "hf", "--out", "s3://bucket/model"], "not on this machine"


def _another_recipe(folder: Path) -> tuple[list[object], str]:
    """A checkpoint whose recipe is of a wider model than its tensors, every checksum right."""
    from hdna.checkpoint import RunState, checkpoint_url, commit_checkpoint, write_checkpoint_part

    imported(folder, ModelConfig(d_model=8, n_layer=1, l_max=40, filter_order=4))
    text = (folder / "imported" / "recipe.yaml").read_text().replace("d_model: 8", "d_model: 16")
    weights = load_weights(str(folder / "imported"))
    kinds = ("parameters", "exp_avg", "exp_avg_sq")
    tensors: dict[str, Tensor] = {f"{kind}.{name}": value.clone() for kind in kinds for name, value in weights.items()}
    part = write_checkpoint_part(checkpoint_url(str(folder / "other"), 0, 0), 0, 1, tensors)
    commit_checkpoint(str(folder / "other"), RunState(recipe=text), 0, [part])
    return [folder / "other", "--to", "hf", "--out", folder / "out"], "has shape"


@pytest.mark.parametrize("case", [_of_order_3, _without_shift, _no_checkpoint, _taken, _bucket, _another_recipe])
def test_what_cannot_be_exported_is_one_line_and_nothing_is_written(case: Refused, tmp_path: Path) -> None:
    words, message = case(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert message in refusal(*words)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    imported(tmp_path, ModelConfig(d_model=8, n_layer=1, l_max=40, filter_order=4))
    (tmp_path / "out").mkdir()
    hdna("export", tmp_path / "imported", "--to", "hf", "--out", tmp_path / "out")
    names = {"README.md", "config.json", "generation_config.json", "model.safetensors", "modeling_hyenadna.py"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"tokenizer.json", "tokenizer_config.json"}
