"""Expected times of `hdna plan`: measured steps come out again, and what nobody has measured is unknown."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.command_line import hdna

from hdna.benchmark.measured import CPU as EACH_PROCESSOR
from hdna.benchmark.measured import LAUNCH_S, RATES, rate
from hdna.config import load_recipe
from hdna.devices import DEVICES, Device
from hdna.init.choice import choose
from hdna.init.genomes import Genome
from hdna.init.machine import known_machine
from hdna.model.flops import train_flops_per_token
from hdna_cluster.expected_time import expected_seconds
from hdna_cluster.plan import StageEstimate, plan

RESULTS = Path(__file__).parents[2] / "bench" / "results" / "nvidia-h200"
CPU = Device("two cores", 8 * 2**30, processors=2)


def planned(name: str, device: Device, *overrides: str) -> list[StageEstimate]:
    return plan(load_recipe(name, list(overrides)), device).stages


def kept(name: str) -> list[dict[str, Any]]:
    """Rows of results."""
    rows: list[dict[str, Any]] = json.loads((RESULTS / f"{name}.json").read_text())["rows"]
    return rows


def test_the_rates_of_a_gpu_are_those_of_the_kept_steps() -> None:
    """As in "8 x 256, 16 x 8,192": layers, width, samples, context."""
    cases = [(row["case"].replace(",", "").split(), row["model_tflops"]) for row in kept("steps")]
    measured = {(int(case[2]), int(case[5])): round(tflops, 1) for case, tflops in cases}
    rows = [row for row in RATES if row.device != EACH_PROCESSOR]
    assert measured == {(row.d_model, row.context_length): row.flops / 1e12 for row in rows}
    assert all(row.source for row in RATES)


def test_a_context_has_the_rate_of_the_next_longer_one_that_was_measured() -> None:
    h200 = DEVICES["h200"]
    found = [rate(h200, "bf16", 256, context) for context in (1, 1024, 1025, 4_194_304, 4_194_305)]
    assert found == [47.0e12, 47.0e12, 43.5e12, 25.5e12, None]
    assert rate(h200, "bf16", 128, 1024) == 11.8e12 and rate(h200, "bf16", 64, 1024) is None


def test_with_the_kernels_of_today_a_step_takes_no_longer_than_expected() -> None:
    """Forward and backward alone, 8 layers of 256, recomputed; by a fifth at most, and no less than 0.6 of it."""
    model = load_recipe("medium_160k").model
    for row in kept("model_step"):
        tokens = row["length"] * row["batch"]
        flops = tokens * train_flops_per_token(model, row["length"], row["batch"])
        expected = max(flops / (rate(DEVICES["h200"], "bf16", 256, row["length"]) or 0), LAUNCH_S)
        assert 0.6 < row["seconds"]["ours"] / expected < 1.2, row["length"]


WIDE = (
    "model.d_model=128",
    "model.l_max=4096",
    "curriculum.0.micro_batch_size=8",
    "curriculum.1.context_length=4096",
    "curriculum.1.micro_batch_size=2",
    "optim.global_batch_tokens=8192",
)


@pytest.mark.parametrize(
    ("overrides", "context", "tokens_per_second"),
    [((), 1024, 49_000), ((), 2048, 45_300), (WIDE, 1024, 28_700), (WIDE, 4096, 25_000)],
)
def test_the_quickstart_takes_what_it_took_on_two_cores(
    overrides: tuple[str, ...], context: int, tokens_per_second: int
) -> None:
    """Within a tenth of what bench/README.md has for runs on Ray, of the recipe and of a wider one."""
    tokens = load_recipe("quickstart", overrides).optim.global_batch_tokens
    (stage,) = [s for s in planned("quickstart", CPU, *overrides) if s.stage.context_length == context]
    assert stage.expected_step == pytest.approx(tokens / tokens_per_second, rel=0.1)


def test_workers_on_one_machine_share_its_processors() -> None:
    one, two = (planned("quickstart", CPU, *WIDE, f"parallel.workers={n}")[0].expected_step for n in (1, 2))
    assert one and two == pytest.approx(one, rel=0.05), "the filter of a smaller micro-batch"


@pytest.mark.parametrize(
    ("name", "device", "overrides"),
    [
        ("quickstart", CPU, ["parallel.precision=bf16"]),
        ("quickstart", DEVICES["h100"], ["parallel.precision=bf16"]),
        ("quickstart", DEVICES["h200"], []),
        ("quickstart", DEVICES["h200"], ["parallel.precision=bf16", "model.d_model=192"]),
    ],
    ids=["bf16 on a CPU", "another device", "fp32", "another width"],
)
def test_what_nobody_has_measured_is_unknown(name: str, device: Device, overrides: list[str]) -> None:
    assert [stage.expected_step for stage in planned(name, device, *overrides)] == [None, None]


def test_a_gpu_takes_its_flops_and_no_less_than_its_launches() -> None:
    for samples, workers in ((256, 1), (256, 2), (1, 1)):
        overrides = [f"curriculum.4.micro_batch_size={samples}", f"parallel.workers={workers}"]
        overrides.append("optim.global_batch_tokens=524288")
        stage = planned("tiny_1k_d256", DEVICES["h200"], *overrides)[4]
        computing, launching = stage.step_flops / workers / 47.0e12, stage.accumulation * LAUNCH_S
        assert (computing > launching) == (samples == 256)
        assert stage.expected_step == pytest.approx(max(computing, launching))


def test_plan_init_and_warnings_expect_the_same() -> None:
    """Of three billion bases on eight H200s; `hdna init` adds a quarter for everything beside training."""
    contigs = (3_100_000_000 // 24,) * 24
    made = choose([Genome("g.fa", "g", contigs, sum(contigs))], known_machine("h200", 8), None, "runs/g", "work/g")
    expected = plan(made.config, DEVICES["h200"]).expected_seconds
    assert expected and made.expected_seconds == pytest.approx(expected / 0.8)
    longer = replace(made.config.curriculum[-1], until_tokens=1000 * made.config.curriculum[-1].until_tokens)
    config = replace(made.config, curriculum=[*made.config.curriculum[:-1], longer])
    expected = plan(config, DEVICES["h200"]).expected_seconds
    assert expected and expected_seconds(config, True, DEVICES["h200"]) == pytest.approx(expected)


def test_programs_get_the_plan_as_json() -> None:
    found = json.loads(hdna("plan", "large_1m", "--json", "--price", "2"))
    (text,) = [line for line in hdna("plan", "large_1m").splitlines() if line.startswith("whole run: at least")]
    assert f"at least {found['least_seconds'] / 3600:.1f} h" in text and found["expected_seconds"] is None
    assert found["stages"][-1]["total"] > 10 * 2**30 and found["advice"] == {}
    assert found["price"]["least_worker_hours"] == pytest.approx(8 * found["least_seconds"] / 3600)
