"""Expected times of `hdna plan`: measured steps come out again, and what nobody has measured is unknown."""

import json
from pathlib import Path

import pytest
from support.command_line import hdna

from hdna.config import load_recipe
from hdna.devices import DEVICES, Device
from hdna_cluster.measured import TIMES_THE_BOUND
from hdna_cluster.plan import StageEstimate, plan

RESULTS = Path(__file__).parents[2] / "bench" / "results" / "nvidia-h200" / "steps.json"
CPU = Device("two cores", 8 * 2**30, processors=2)


def planned(name: str, device: Device, *overrides: str) -> list[StageEstimate]:
    return plan(load_recipe(name, list(overrides)), device).stages


def test_the_factor_is_the_median_of_the_kept_steps() -> None:
    factors = sorted(row["times_bound"] for row in json.loads(RESULTS.read_text())["rows"])
    assert factors[len(factors) // 2] == pytest.approx(TIMES_THE_BOUND["H200 SXM 141 GB"], abs=0.05)
    assert (round(factors[0], 1), round(factors[-1], 1)) == (16.3, 20.6)


@pytest.mark.parametrize(("context", "tokens_per_second"), [(1024, 28_000), (4096, 26_200)])
def test_the_quickstart_takes_what_it_took_on_two_cores(context: int, tokens_per_second: int) -> None:
    """Within a tenth of the figures of bench/loop.py."""
    (stage,) = [s for s in planned("quickstart", CPU) if s.stage.context_length == context]
    assert stage.expected_step == pytest.approx(8192 / tokens_per_second, rel=0.1)


def test_workers_on_one_machine_share_its_processors() -> None:
    one, two = (planned("quickstart", CPU, f"parallel.workers={n}")[0].expected_step for n in (1, 2))
    assert one and two == pytest.approx(one, rel=0.05), "the filter of a smaller micro-batch"


@pytest.mark.parametrize(
    ("name", "device", "overrides"),
    [
        ("quickstart", CPU, ["parallel.precision=bf16"]),
        ("quickstart", DEVICES["h100"], ["parallel.precision=bf16"]),
        ("quickstart", DEVICES["h200"], []),
        ("quickstart", DEVICES["h200"], ["parallel.precision=bf16"]),
    ],
    ids=["bf16 on a CPU", "another device", "fp32", "8,192 tokens a micro step"],
)
def test_what_nobody_has_measured_is_unknown(name: str, device: Device, overrides: list[str]) -> None:
    assert [stage.expected_step for stage in planned(name, device, *overrides)] == [None, None]


def test_a_full_h200_is_expected_to_take_a_multiple_of_the_bound() -> None:
    full = ["parallel.precision=bf16", "optim.global_batch_tokens=262144", "curriculum.0.micro_batch_size=256"]
    stage = planned("quickstart", DEVICES["h200"], *full, "curriculum.1.micro_batch_size=64")[0]
    assert stage.bounds and stage.expected_step == TIMES_THE_BOUND["H200 SXM 141 GB"] * stage.bounds.seconds


def test_programs_get_the_plan_as_json() -> None:
    found = json.loads(hdna("plan", "large_1m", "--json", "--price", "2"))
    (text,) = [line for line in hdna("plan", "large_1m").splitlines() if line.startswith("whole run: at least")]
    assert f"at least {found['least_seconds'] / 3600:.1f} h" in text and found["expected_seconds"] is None
    assert found["stages"][-1]["total"] > 10 * 2**30 and found["advice"] == {}
    assert found["price"]["least_worker_hours"] == pytest.approx(8 * found["least_seconds"] / 3600)
