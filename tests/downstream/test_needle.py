"""A copying model shows its gain as far as it can look, and no further; one that does not copy shows none."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from support.command_line import hdna
from support.judged_models import Foretelling, known_subject, save_model
from torch import Tensor
from typer.testing import CliRunner

from hdna.cli import app
from hdna.config import RunConfig, load_recipe
from hdna.data.order import Crop
from hdna.downstream.evidence import find_evidence
from hdna.downstream.held_out import HeldOut, open_held_out
from hdna.downstream.needle import find_needles, needle_distances, needle_pairs
from hdna.downstream.needle_result import farthest, needle_body, verdict
from hdna.downstream.subject import load_subject
from hdna.errors import InputError
from hdna.genome import alphabet

UNIT, WORD, P = 64, 12, 0.97


@pytest.fixture(scope="module")
def config(tiny_recipe: Path) -> RunConfig:
    return load_recipe(str(tiny_recipe), ["model.d_model=8", "model.n_layer=1"])


@pytest.fixture(scope="module")
def held_out(config: RunConfig) -> HeldOut:
    return open_held_out(config)


def within(reach: int) -> "Foretelling":
    """Looks up the last WORD bases within so many bases before, and foretells what came after them."""

    def lookup(ids: Tensor) -> tuple[Tensor, Tensor]:
        foretold, known = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
        for row, bases in enumerate(ids.tolist()):
            last: dict[tuple[int, ...], int] = {}
            for end in range(WORD, len(bases) + 1):
                word = tuple(bases[end - WORD : end])
                if word in last and end - last[word] <= reach:
                    foretold[row, end - 1], known[row, end - 1] = bases[last[word]], True
                last[word] = end
        return foretold, known

    return Foretelling(lookup, P)


def test_a_copying_model_gains_as_far_as_it_looks_and_no_further(config: RunConfig, held_out: HeldOut) -> None:
    """In closed form: the first WORD bases of the copy are guessed, every one after them costs -log2 P instead of 2."""
    needles, cost = find_needles(known_subject(config, within(256)), held_out, UNIT, 12)
    body = needle_body(needles, UNIT, held_out.split)
    near, middle, far = body["distances"]
    assert [row["distance"] for row in body["distances"]] == [128, 256, 451]
    for row in (near, middle):
        assert row["gain"] == pytest.approx((UNIT - WORD) / UNIT * (2 + math.log2(P)), abs=1e-6)
        assert row["second_half_gain"] == pytest.approx(2 + math.log2(P), abs=1e-6)
        assert row["control_bits_per_base"] == pytest.approx(2, abs=1e-6)
    assert (far["gain"], far["low"], far["high"]) == (0, 0, 0)
    assert body["farthest"] == 256
    assert body["verdict"].startswith("It copies from 256 bases back, of 451 that were tried")
    assert cost.bases == 2 * 12 * sum(row["distance"] + UNIT - 1 for row in body["distances"])


def test_random_weights_do_not_copy(config: RunConfig, held_out: HeldOut, tmp_path: Path) -> None:
    save_model(config, tmp_path / "run", scale=3.0)
    needles, _ = find_needles(load_subject(str(tmp_path / "run")), held_out, UNIT, 32)
    body = needle_body(needles, UNIT, held_out.split)
    assert body["farthest"] is None
    assert body["verdict"].startswith("It does not copy: at the nearest distance, 128 bases")


def test_a_pair_differs_in_the_order_of_the_first_units_bases_alone() -> None:
    rng = np.random.default_rng(0)
    background = rng.integers(alphabet.A, alphabet.N, (50, 100), dtype=np.uint8)
    copied, control = needle_pairs(rng, background, 16)
    np.testing.assert_array_equal(copied[:, 16:], control[:, 16:])
    np.testing.assert_array_equal(copied[:, 16:-16], background)
    np.testing.assert_array_equal(copied[:, :16], copied[:, -16:])
    np.testing.assert_array_equal(np.sort(copied[:, :16]), np.sort(control[:, :16]))
    assert (copied[:, :16] != control[:, :16]).any(axis=1).all()


def test_distances_double_from_twice_the_unit_to_the_furthest() -> None:
    assert needle_distances(64, 4033) == [128, 256, 512, 1024, 2048, 4033]
    assert needle_distances(64, 128) == [128]
    with pytest.raises(InputError, match=r"--unit 200: 514 bases of context.* want 171 at most"):
        needle_distances(200, 315)


def test_the_furthest_is_the_last_before_a_distance_that_shows_no_gain() -> None:
    rows = [{"distance": d, "low": low, "high": 1.0, "gain": 0.5} for d, low in ((1, 0.2), (2, 0.1), (4, -0.1), (8, 1))]
    assert farthest(rows) == 2
    assert farthest(rows[2:]) is None
    assert "not above 0.01" in verdict(rows[2:], UNIT)


def test_backgrounds_are_held_out_sequence_without_n(config: RunConfig, held_out: HeldOut) -> None:
    """What the model is given between the units is found in the split's windows, but for what was N."""
    given: list[Tensor] = []

    class Listening(Foretelling):
        def forward(self, input_ids: Tensor) -> Tensor:
            given.append(input_ids)
            return super().forward(input_ids)

    model = Listening(lambda ids: (ids, torch.zeros_like(ids, dtype=torch.bool)), P)
    find_needles(known_subject(config, model), held_out, UNIT, 8)
    reader = held_out.readers[0]
    text = b" ".join(reader.read(Crop(w, 0, "+"), reader.bases(w))[0].tobytes() for w in range(len(reader)))
    found = 0
    for ids in given:
        assert ((ids >= alphabet.A) & (ids <= alphabet.T)).all()
        middle = ids[:, UNIT : 1 - UNIT].numpy().astype(np.uint8)
        found += sum(row[start : start + 32].tobytes() in text for row in middle for start in (0, len(row) - 32))
    assert found > 0.6 * 2 * sum(len(ids) for ids in given)  # about 85 of 1,000 bases are N, in runs


def test_the_command_leaves_evidence_a_plot_and_a_verdict(config: RunConfig, tmp_path: Path) -> None:
    save_model(config, tmp_path / "run")
    said = hdna("eval", "needle", tmp_path / "run", "--out", tmp_path / "out", "--unit", 32, "--copies", 4)
    (evidence,) = find_evidence(str(tmp_path / "out"))
    assert (evidence.kind, evidence.body["unit_bases"]) == ("needle", 32)
    wanted = {"distance", "copies", "bits_per_base", "control_bits_per_base", "gain", "low", "high"}
    assert wanted <= set(evidence.body["distances"][0])
    assert evidence.body["verdict"] in said
    assert (tmp_path / "out/needle.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("command", "work"), [("needle", "needle.find_needles"), ("context", "context.score_contexts")]
)
def test_a_place_that_takes_no_files_is_found_before_the_work(
    command: str, work: str, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(config, tmp_path / "run")
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(f"hdna.downstream.{work}", lambda *rest: pytest.fail("has begun"))
    result = CliRunner().invoke(app, ["eval", command, str(tmp_path / "run"), "--out", str(tmp_path / "file/x")])
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith(f"{tmp_path}/file/x: Not a directory")
