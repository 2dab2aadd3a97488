"""A model and its tokenizer in one line: the weights of the checkpoint, the ids that published tokenizers give."""

import json
from pathlib import Path

import pytest
import torch
from support.random_checkpoint import random_checkpoint

import hdna
from hdna.checkpoint import load_weights
from hdna.config import ModelConfig
from hdna.errors import InputError
from hdna.interop.tokenizer import tokenizer_json
from hdna.model import HyenaDNA, Tokenizer

CONFIG = ModelConfig(d_model=16, n_layer=2, l_max=64, filter_order=8)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("load") / "run"
    random_checkpoint(folder, CONFIG)
    return str(folder)


def test_the_model_has_the_weights_of_the_run(run: str) -> None:
    model, tokenizer = hdna.HyenaDNA.load(run)
    weights = load_weights(run)
    assert not model.training
    assert model.state_dict().keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert isinstance(tokenizer, hdna.Tokenizer)


def test_a_padded_sequence_has_the_logits_that_it_has_alone(run: str) -> None:
    model, tokenizer = HyenaDNA.load(run)
    short, long = "ACGTN", "GGGTTTACGTACGTTTGCA"
    with torch.no_grad():
        both, alone = model(tokenizer([short, long])), model(tokenizer(short))
    torch.testing.assert_close(both[0, : len(short)], alone[0], rtol=0, atol=1e-5)  # fp32 through FFTs of two lengths


def test_ids_are_those_of_the_exported_tokenizer() -> None:
    """The `tokenizers` library, reading the file that an export writes."""
    peer = pytest.importorskip("tokenizers").Tokenizer.from_str(json.dumps(tokenizer_json()))
    text = "ACGTNacgtnURYKu"
    assert Tokenizer()(text)[0].tolist() == peer.encode(text).ids


def test_letters_come_back() -> None:
    tokenizer = Tokenizer()
    ids = tokenizer(["acgu", "ACGTNR"])
    assert [tokenizer.decode(row) for row in ids] == ["ACGT", "ACGTNN"]


@pytest.mark.parametrize(
    ("sequences", "said"), [("ACG-T", "letter 4.*'-'"), (["ACGT", "AC\nGT"], "letter 3"), ([], "no")]
)
def test_what_is_no_sequence_is_told_in_a_line(sequences: str | list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Tokenizer()(sequences)


def test_no_run_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        HyenaDNA.load(str(tmp_path / "nowhere"))
