"""The Transformer that HyenaDNA is timed against: attention as its definition says; and the command that times them."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from hdna.benchmark.attention import Setting, compare
from hdna.benchmark.transformer import Attention, Transformer
from hdna.cli import app
from hdna.config.schema import ModelConfig
from hdna.errors import InputError

WIDTH, HEADS, LENGTH = 12, 3, 20
CONFIG = ModelConfig(d_model=WIDTH, n_layer=2, l_max=LENGTH, embed_dropout=0.0)


def by_definition(attention: Attention, x_BLD: Tensor) -> Tensor:
    """softmax(q kᵀ / √E, causal) v for each head, in fp64."""
    queries, keys, values = attention.in_proj(x_BLD).chunk(3, dim=-1)
    causal = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
    mixed = []
    for q, k, v in zip(*(part.chunk(HEADS, dim=-1) for part in (queries, keys, values)), strict=True):
        scores = (q @ k.transpose(1, 2) / math.sqrt(WIDTH / HEADS)).masked_fill(~causal, -math.inf)
        mixed.append(scores.softmax(-1) @ v)
    y_BLD: Tensor = attention.out_proj(torch.cat(mixed, dim=-1))
    return y_BLD


def test_attention_is_its_definition() -> None:
    torch.manual_seed(0)
    attention, x_BLD = Attention(WIDTH, HEADS).double(), torch.randn(2, LENGTH, WIDTH, dtype=torch.float64)
    torch.testing.assert_close(attention(x_BLD), by_definition(attention, x_BLD))


def test_the_transformer_is_causal_and_recomputing_it_changes_no_gradient() -> None:
    torch.manual_seed(0)
    model = Transformer(CONFIG, HEADS, recompute=False)
    ids = torch.randint(7, 11, (1, LENGTH))
    changed = ids.clone()
    changed[0, 10] = 18 - ids[0, 10]  # another of 7 to 11
    assert torch.equal(model(ids)[:, :10], model(changed)[:, :10])
    assert not torch.equal(model(ids)[:, 10], model(changed)[:, 10])
    again = Transformer(CONFIG, HEADS, recompute=True)
    again.load_state_dict(model.state_dict())
    for net in (model, again):
        net(ids).square().sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(again.get_parameter(name).grad, parameter.grad)


def test_a_model_is_left_out_where_it_would_take_too_long() -> None:
    setting = Setting(width=16, layers=1, head_dim=8)
    rows = list(compare(setting, [256, 512, 1024], torch.device("cpu"), 1e-9, 1))
    assert [row.context_length for row in rows] == [256, 512, 1024]
    assert rows[0].hyena_seconds and rows[0].attention_seconds and rows[0].ratio
    assert [(row.hyena_seconds, row.attention_seconds, row.ratio) for row in rows[1:]] == [(None, None, None)] * 2


def test_the_command_prints_a_row_for_each_length_and_writes_them(tmp_path: Path) -> None:
    out = tmp_path / "attention.json"
    words = ["bench", "attention", "--width", "16", "--head-dim", "8", "--layers", "1", "--longest", "512"]
    result = CliRunner().invoke(app, [*words, "--repeats", "1", "--out", str(out)])
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text())
    assert [row["context_length"] for row in written["rows"]] == [512]
    assert written["setting"] == {"width": 16, "layers": 1, "head_dim": 8, "bf16": False, "batch": 1}
    assert result.output.splitlines()[-1].split()[0] == "512"


def test_a_place_that_cannot_be_written_is_found_before_anything_is_timed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, ["bench", "attention", "--out", str(tmp_path / "file" / "attention.json")])
    assert isinstance(result.exception, InputError) and "attention.json" in str(result.exception)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    result = CliRunner().invoke(app, ["bench", "attention", "--width", "20", "--head-dim", "16"])
    assert isinstance(result.exception, InputError) and "--head-dim 16" in str(result.exception)


@pytest.mark.parametrize("option", ["--limit", "--width", "--repeats"])
def test_a_number_out_of_range_is_a_usage_error(option: str) -> None:
    assert CliRunner().invoke(app, ["bench", "attention", option, "-1"]).exit_code == 2
