"""`hdna plan` through the command line, its figures against arithmetic by hand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from hdna.cli import app
from hdna.config import ModelConfig, load_recipe, recipe_text
from hdna.devices import DEVICES, cpu_share
from hdna.errors import InputError
from hdna.model import HyenaDNA, weighted_nats
from hdna.ops import tiled
from hdna_cluster.plan import plan
from hdna_cluster.step_time import product_flops_per_token

GIB = 2**30


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["plan", *arguments])
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 80
    return result.output


def row(text: str, title: str, stage: int) -> list[str]:
    """The cells of a stage's line in the table below a title."""
    lines = text[text.index(title) :].splitlines()
    return re.split(r" {2,}", next(line for line in lines if re.match(rf" *{stage}  ", line)).strip())


def test_quickstart_fits_this_machine_and_claims_no_time() -> None:
    text = printed("quickstart", "--device", "cpu")
    assert row(text, "Work", 0)[:5] == ["0", "1,024", "2 x 1 x 1", "1", "3,418"]
    assert row(text, "Time", 1)[1:3] == ["unknown", "-"]
    assert "there are no bounds" in text and "nothing: no stage shares samples" in text
    assert row(text, "Memory per rank", 1)[-1] == "fits"


LONGER = (
    "model.d_model=128",
    "model.l_max=4096",
    "curriculum.1.context_length=4096",
    "optim.global_batch_tokens=4096",  # a single micro step
    "parallel.precision=fp32",
    "parallel.activation_checkpointing=false",
)
"""Of the quickstart, so that its activations show in the printed digits."""


def test_activations_of_a_longer_quickstart_by_hand() -> None:
    """Stage 1 in fp32: one sample of N = 4,096, D = 128, 2 layers, dropout's mask.

    Of a layer, in numbers of N: the residual stream twice, the long convolution's input, result and filter: 5 D.
    Around: the final norm's input D, 16 probabilities, the mask.
    """
    n, d = 4096, 128
    layer = n * 5 * d
    around = n * (d + 16) + n * d // 4 + 2
    text = printed("quickstart", *LONGER)
    assert row(text, "Memory per rank", 1)[1] == f"{4 * (2 * layer + around) / GIB:.3f}"


def test_traffic_of_large_1m_by_hand() -> None:
    """B = 4, D = 256, S = 125,000, P = 8, bf16, 32 micro steps: filters ride along once."""
    text = printed("large_1m")
    b, d, s, p, steps = 4, 256, 125_000, 8, 32
    exchanged = (4 * 2 * b * steps + 8) * d * s * (p - 1) // p
    halo = 2 * b * 3 * d * 2 * 2 * steps
    groups = 8  # the slice has 244 MiB, and no more than eight groups are made
    transformed = (3 * b * 2 + 48 * b + 36) * d * s * (p - 1) // p * steps
    blocks = 32  # 4 x 125,000 complex numbers are 4 MB, of which 32 MiB hold eight: 256 / 8
    cells = row(text, "Sent per rank", 10)
    assert cells == [
        "10",
        "125,000",
        f"{(exchanged + halo) / 2**20:,.2f}",
        f"{(4 * groups + 2) * steps:,}",
        f"{(transformed + halo) / 2**20:,.2f}",
        f"{(8 * blocks + 2) * steps:,}",
    ]


def test_state_and_floor_of_large_1m_by_hand() -> None:
    """6,550,528 parameters; ZeRO 1 over eight: moments and a copy of the partition, 12 bytes of an eighth each."""
    made = plan(load_recipe("large_1m", ["parallel.activation_checkpointing=false"]), DEVICES["a100"])
    last = made.stages[-1]
    tables = (1_000_002 * 5 + 256) * 4
    assert last.state == (6_550_528 * 4 + tables, 6_550_528 * 4, 6_550_528 * 12 // 8)
    weights = 8 * (256 * 768 + 256 * 256 + 2 * 256 * 1024)
    assert last.bounds is not None
    again = 8 * (256 * 768 + 256 * 1024)  # in_proj and fc1, in tiles
    assert last.bounds.products == pytest.approx((6 * weights + 2 * again) * 128e6 / 8 / 312e12)
    assert last.bounds.link == pytest.approx(8 * last.sent["all_to_all"].bytes_sent / 300e9)
    assert last.bounds.seconds == max(last.bounds.products, last.bounds.memory, last.bounds.link)
    assert made.seconds == pytest.approx(sum(s.bounds.seconds * s.steps for s in made.stages if s.bounds))


@pytest.mark.parametrize("recompute", [False, True])
def test_matrix_products_are_those_that_torch_counts(recompute: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In tiles of one sample each: those within a sample would repeat some positions of the tile before.

    Its counter sees the head (8 x 16 D a token) too, all of whose products run twice, and the filters, which a tile
    holds; the positional features want no gradient.
    """
    length, batch, d, hidden = 64, 3, 16, 8
    monkeypatch.setattr(tiled, "CPU_TILE", length)
    config = ModelConfig(d_model=d, n_layer=2, l_max=length, filter_order=hidden, d_inner=40)
    model = HyenaDNA(config)
    model.backbone.activation_checkpointing = recompute
    ids = torch.full((batch, length), 7)
    with FlopCounterMode(display=False) as counter:
        weighted_nats(model(ids), ids, torch.ones(batch, length)).backward()
    counts = counter.get_flop_counts()["Global"]
    products = sum(counts[operation] for operation in (torch.ops.aten.mm, torch.ops.aten.addmm))
    first, rest = 5 * hidden, 2 * hidden * hidden + hidden * d
    filters = 2 * length * (4 * first + 6 * rest)
    tokens = batch * length
    assert product_flops_per_token(config, recompute) * tokens == products - filters - 8 * 16 * d * tokens


def test_memory_floor_of_a_longer_quickstart_by_hand() -> None:
    """Stage 1: 4,096 positions; eight transforms of 8,192 points a channel: five of the sample, three of the filter."""
    config = load_recipe("quickstart", LONGER)
    n, d = 4096, 128
    layer = 4 * n * 5 * d
    moved = 2 * (2 * layer + 8 * d * 8 * 8192)
    found = plan(config, DEVICES["h100"]).stages[1].bounds
    assert found is not None and found.memory == pytest.approx(moved / 3.35e12)


def test_the_manuals_state_the_memory_that_the_plan_computes() -> None:
    for name, stated in (("large_1m", ("14.5 GiB", "13.6 GiB")), ("beyond_4m", ("17.3 GiB",))):
        totals = [s.total for s in plan(load_recipe(name), DEVICES["h100"]).stages]
        assert stated == tuple(f"{size / GIB:.1f} GiB" for size in (max(totals), totals[-1])[: len(stated)])
        assert all(figure in recipe_text(name) for figure in stated)
    single = plan(load_recipe("large_1m", ["curriculum.10.micro_batch_size=1"]), DEVICES["h100"]).stages[-1]
    assert f"{single.total / GIB:.1f} GiB" == "6.8 GiB" and "6.8 GiB" in recipe_text("large_1m")


@pytest.mark.parametrize("device", ["h200", "h100", "a100", "a100-40gb"])
def test_the_long_recipes_fit_the_devices_they_are_for(device: str) -> None:
    for name in ("large_1m", "beyond_4m"):
        text = printed(name, "--device", device)
        assert "TOO LARGE" not in text and "does not fit" not in text
        assert re.search(r"whole run: at least [\d,.]+ h; expected: ", text) and "Lower bounds, not forecasts" in text


def test_requests_of_large_1m_by_hand() -> None:
    """Eight parts, state.json and manifest, written, and read again. Uploaded besides: metrics.jsonl and TensorBoard's
    file. Removed: the oldest one's manifest, then the rest of it. Listed: the lease twice, this step's attempts, all
    checkpoints. All but seven parts wait for one another.
    """
    text = printed("large_1m")
    get, put, listed, deleted, megabytes = 10, 10 + 2, 4, 2, f"{3 * 4 * 6_550_528 / 2**20:.1f}"
    cells = re.split(r" {2,}", next(line for line in text.splitlines() if "a save" in line).strip())
    requests = [get, put, listed, deleted, get + put + listed + deleted - 7]
    assert cells == ["a save", *map(str, requests), megabytes, megabytes]
    text = " ".join(text.split())
    assert "each node copies 1.9 a step (at most" in text and "controller: 4.0 a second" in text


def test_devices_take_the_place_of_workers() -> None:
    text = printed("beyond_4m", "--devices", "32")
    assert text.startswith("beyond_4m on 32 x H100") and row(text, "Work", 10)[2:4] == ["2 x 2 x 8", "16"]


def test_a_stage_too_large_is_reported_with_the_nearest_change_that_helps() -> None:
    """And the change does help."""
    off = "parallel.activation_checkpointing=false"
    text = printed("beyond_4m", off, "curriculum.9.sequence_parallel=1", "curriculum.9.micro_batch_size=1")
    assert row(text, "Memory per rank", 9)[-1] == "TOO LARGE"
    assert "stage 9 does not fit: set parallel.activation_checkpointing=true" in text
    text = printed("large_1m", off, "curriculum.0.micro_batch_size=4000")
    assert "stage 0 does not fit: set curriculum.0.micro_batch_size=2000" in text
    assert row(printed("large_1m", off, "curriculum.0.micro_batch_size=2000"), "Memory per rank", 0)[-1] == "fits"


def test_a_sample_that_no_recomputation_saves_is_to_be_shared() -> None:
    """Four million positions: the filters of eight layers take 32 GiB, the residual stream as much again."""
    overrides = [f"curriculum.{n}.sequence_parallel=1" for n in range(7, 11)]
    small = [f"curriculum.{n}.micro_batch_size=1" for n in range(7, 11)]
    text = printed("beyond_4m", *overrides, *small)
    advice = re.search(r"stage 10 does not fit: raise curriculum\.10\.sequence_parallel to (\d+)", text)
    assert advice is not None
    shared = printed("beyond_4m", *small, f"curriculum.10.sequence_parallel={advice[1]}")
    assert row(shared, "Memory per rank", 10)[-1] == "fits"


def test_a_cpu_is_shared_by_its_workers() -> None:
    assert cpu_share(64 * GIB, 4).memory_bytes == 16 * GIB


def test_a_recipe_that_does_not_hold_for_so_many_devices_is_refused() -> None:
    result = CliRunner().invoke(app, ["plan", "large_1m", "--devices", "3"])
    assert isinstance(result.exception, InputError) and "3" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "status"), [(["large_1m", "--devices", "3"], 1), (["large_1m", "--device", "v100"], 2)]
)
def test_bad_input_is_one_line_and_no_traceback(arguments: list[str], status: int) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("hdna"), "plan", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == status and "Traceback" not in done.stderr and done.stdout == ""
    if status == 1:
        assert done.stderr.startswith("hdna: error: ") and done.stderr.count("\n") == 1
