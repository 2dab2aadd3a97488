"""`hdna init` decides by sizes alone: held against the recipe rules, `hdna plan`, real splits and the clock."""

from itertools import pairwise
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdna.config.recipe import parse_recipe
from hdna.data.curriculum import Curriculum
from hdna.data.order import DataOrder
from hdna.data.window_table import WindowTable
from hdna.devices import DEVICES, cpu_share
from hdna.errors import InputError
from hdna.init.choice import Choice, choose
from hdna.init.genomes import Genome
from hdna.init.machine import Machine
from hdna.init.recipe_text import recipe_text
from hdna.init.schedule import n50, schedule, window_of
from hdna.model.flops import parameter_count, train_flops_per_token
from hdna_cluster.plan import plan
from hdna_prep.splits import Stores, split_by_hash
from hdna_prep.windows import cut

GENOMES = {
    "plasmid": [50_000],
    "phages": [9_000, 8_000, 7_000, 6_000],
    "bacterium": [4_641_652],
    "scaffolds": [1_500] * 4_000,
    "yeast": [230_218, 813_184, 316_620, 1_531_933, 576_874, 270_161, 1_090_940, 562_643, 439_888, 745_751, 666_816],
    "worm": [15_072_434, 15_279_421, 13_783_801, 17_493_829, 20_924_180, 17_718_942, 13_794],
    "human": [3_100_000_000 // 24] * 24 + [20_000] * 150,
}
CPU = {128: 7e10, 256: 1e11}
GPU = {128: 1.2e13, 256: 2.7e13}
MACHINES = {
    "laptop": Machine(cpu_share(8 << 30, 1), 1, flops=CPU),
    "H200": Machine(DEVICES["h200"], 1, True, GPU),
    "6 H200": Machine(DEVICES["h200"], 6, True, GPU),
    "8 A100, speed unknown": Machine(DEVICES["a100"], 8, True),
    "2 workers of 3 GB": Machine(cpu_share(3 << 30, 2), 2, flops=CPU),
}
HOURS = (None, 0.1, 3.0, 72.0)


def genome(*contigs: int, name: str = "g") -> Genome:
    return Genome(f"{name}.fa", name, contigs, sum(contigs))


def chosen(contigs: list[int], machine: Machine, hours: float | None = None) -> Choice:
    return choose([genome(*contigs)], machine, hours, "runs/g", "work/g/shards")


CASES = [
    pytest.param(GENOMES[name], machine, hours, id=f"{name}-{kind}-{hours}")
    for name in GENOMES
    for kind, machine in MACHINES.items()
    for hours in HOURS
    if hours is None or machine.flops
]


@pytest.mark.parametrize(("contigs", "machine", "hours"), CASES)
def test_the_recipe_obeys_the_rules_and_the_plan(contigs: list[int], machine: Machine, hours: float | None) -> None:
    made = chosen(contigs, machine, hours)
    assert parse_recipe(recipe_text(made, "r.yaml", "work/g"), "r.yaml") == made.config
    assert all(stage.fits for stage in plan(made.config, machine.device).stages)
    curriculum = Curriculum.of(made.config)
    assert all(stage.end_step > stage.first_step for stage in curriculum.stages)
    assert curriculum.tokens == made.tokens
    contexts = [stage.context_length for stage in curriculum.stages]
    assert contexts == sorted(set(contexts)) and contexts[-1] == made.config.model.l_max
    assert made.tokens <= max(8 * made.train_bases, made.config.optim.global_batch_tokens)
    if hours is None:
        assert made.tokens >= 0.5 * min(8 * made.train_bases, max(made.train_bases, 2_000_000))


def windows(contigs: list[int], window: int, split: str) -> WindowTable:
    """The windows that `hdna prep shards` would cut from a genome without N."""
    store = SimpleNamespace(
        bases=sum(contigs),
        contigs={f"c{number}": length for number, length in enumerate(contigs)},
        count_unknown=lambda interval: 0,
    )
    cuts = cut(split_by_hash(cast(Stores, {"g": store}), window), window)
    bases = [one.end - one.start for one in cuts if one.split == split]
    return WindowTable(np.array(bases), np.zeros(len(bases), np.int64))


@pytest.mark.parametrize("contigs", GENOMES.values(), ids=GENOMES)
def test_every_stage_finds_windows_and_the_expected_bases_in_each_split(contigs: list[int]) -> None:
    made = chosen(contigs, MACHINES["H200"])
    train, valid = (windows(contigs, made.window, split) for split in ("train", "valid"))
    DataOrder([train], Curriculum.of(made.config), seed=1)
    assert train.total_bases == pytest.approx(made.train_bases, rel=0.1)
    assert valid.longest > made.config.curriculum[0].context_length
    assert int(train.crops(made.config.model.l_max).sum()) * made.config.model.l_max > made.train_bases / 4
    assert made.config.evaluate.max_bases <= valid.total_bases * 1.3


@pytest.mark.parametrize(("contigs", "machine", "hours"), [case for case in CASES if case.values[2]])
def test_the_run_fits_its_hours(contigs: list[int], machine: Machine, hours: float) -> None:
    """A fifth of the time is left to all else; counted step by step, by each stage's own FLOPs."""
    made = chosen(contigs, machine, hours)
    rate = machine.flops[made.config.model.d_model] * machine.workers
    seconds = 0.0
    for planned in made.plan.stages:
        samples = planned.stage.largest_micro_batch(planned.data_ranks)
        flops = train_flops_per_token(made.config.model, planned.stage.context_length, samples)
        step = made.config.optim.global_batch_tokens * flops / rate
        seconds += planned.steps * (max(step, 0.02 * planned.accumulation) if machine.device.is_gpu else step)
    one_batch = made.config.optim.global_batch_tokens * train_flops_per_token(made.config.model, 1024) / rate
    assert seconds <= 0.85 * hours * 3600 + 2 * one_batch
    assert made.expected_seconds == pytest.approx(seconds / 0.8)


def test_more_hours_never_train_less_or_a_smaller_model() -> None:
    for contigs in GENOMES.values():
        made = [chosen(contigs, MACHINES["laptop"], hours) for hours in (0.1, 1, 10, 100, 1000)]
        work = [one.tokens * parameter_count(one.config.model) for one in made]
        assert all(after >= 0.7 * before for before, after in pairwise(work)), work


@pytest.mark.parametrize(
    ("contigs", "machine", "parameters", "context"),
    [
        ("human", "H200", 6_550_528, 131_072),
        ("human", "8 A100, speed unknown", 6_550_528, 131_072),
        ("human", "laptop", 436_096, 16_384),
        ("worm", "H200", 3_277_568, 32_768),
        ("plasmid", "laptop", 436_096, 256),
        ("scaffolds", "laptop", 436_096, 512),
    ],
)
def test_sizes_are_the_published_ones(contigs: str, machine: str, parameters: int, context: int) -> None:
    made = chosen(GENOMES[contigs], MACHINES[machine])
    assert (parameter_count(made.config.model), made.config.model.l_max) == (parameters, context)


def test_what_cannot_be_had_is_refused_in_a_line() -> None:
    with pytest.raises(InputError, match="too few to train on"):
        chosen([9_999], MACHINES["laptop"])
    with pytest.raises(InputError, match="nobody has measured"):
        chosen([10**6], MACHINES["8 A100, speed unknown"], 2.0)
    with pytest.raises(InputError, match="too few for the smallest model"):
        chosen([10**6], Machine(cpu_share(1 << 20, 1)))
    for hours in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="--hours"):
            chosen([10**6], MACHINES["laptop"], hours)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=40))
def test_n50_by_its_definition(contigs: list[int]) -> None:
    """The longest length such that contigs of at least it hold half of the bases."""
    half = [length for length in contigs if 2 * sum(c for c in contigs if c >= length) >= sum(contigs)]
    assert n50(contigs) == max(half)
    assert window_of(contigs) <= max(128, max(half))


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 10**11), st.integers(0, 17), st.integers(1, 100))
def test_a_schedule_is_whole_steps_of_dividing_contexts(tokens: int, exponent: int, workers: int) -> None:
    made = schedule(tokens, 1 << exponent, workers)
    ends = [0, *(stage.until_tokens for stage in made.stages)]
    assert all(end > begin and end % made.batch == 0 for begin, end in pairwise(ends))
    assert all(made.batch % stage.context_length == 0 for stage in made.stages)
    assert made.batch >= made.context * workers and made.context <= 1 << exponent
    assert made.tokens <= max(tokens, made.batch)


def test_reasons_stand_beside_the_numbers_of_every_section() -> None:
    text = recipe_text(chosen(GENOMES["worm"], MACHINES["laptop"], 3.0), "r.yaml", "work/g")
    lines = text.splitlines()
    bare = [line for before, line in pairwise(lines) if line.startswith("  ") and "#" not in line + before]
    assert [line.split(":")[0].strip(" -{") for line in bare] == ["n_layer"] + ["context_length"] * (
        len(Curriculum.of(parse_recipe(text, "r")).stages) - 1
    )
    assert max(map(len, lines)) <= 120
