"""Stages are half-open in tokens, and a global batch is dealt out exactly once, whatever the layout."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdna.config import Stage, load_recipe
from hdna.data.curriculum import Curriculum

LENGTHS = (1, 2, 3, 4, 6, 12)
GLOBAL_BATCH_TOKENS = 12


@st.composite
def stage_lists(draw: st.DrawFn) -> list[Stage]:
    """Stages that any recipe may have: rising ends, contexts that divide the global batch, one or several each."""
    ends = sorted(draw(st.sets(st.integers(1, 2000), min_size=1, max_size=5)))
    contexts = [sorted(draw(st.sets(st.sampled_from(LENGTHS), min_size=1, max_size=3)), reverse=True) for _ in ends]
    return [Stage(first, end, 1, shorter_contexts=rest) for end, (first, *rest) in zip(ends, contexts, strict=True)]


def stage_by_counting(stages: list[Stage], step: int) -> int | None:
    """The stage whose half-open range of tokens holds the step's first token, found by looking."""
    begin = 0
    for index, stage in enumerate(stages):
        if begin <= step * GLOBAL_BATCH_TOKENS < stage.until_tokens:
            return index
        begin = stage.until_tokens
    return None


@given(stage_lists())
def test_each_step_belongs_to_the_stage_that_holds_its_first_token(stages: list[Stage]) -> None:
    curriculum = Curriculum(stages, GLOBAL_BATCH_TOKENS)
    last = stages[-1].until_tokens
    for step in range(last // GLOBAL_BATCH_TOKENS + 2):
        expected = stage_by_counting(stages, step)
        if expected is None:
            with pytest.raises(IndexError):
                curriculum.stage(step)
        else:
            found = curriculum.stage(step)
            assert found.index == expected
            assert found.first_step <= step < found.end_step
            assert found.samples * found.context_length == GLOBAL_BATCH_TOKENS
            stage = stages[expected]
            assert found.context_length in (stage.context_length, *stage.shorter_contexts)
            before = [curriculum.stage(earlier) for earlier in range(found.first_step, step)]
            assert curriculum.earlier(step) == before.count(found)


@given(stage_lists())
def test_a_run_is_the_fewest_whole_steps_that_reach_its_last_token(stages: list[Stage]) -> None:
    curriculum = Curriculum(stages, GLOBAL_BATCH_TOKENS)
    assert curriculum.tokens == curriculum.steps * GLOBAL_BATCH_TOKENS
    assert 0 <= curriculum.tokens - stages[-1].until_tokens < GLOBAL_BATCH_TOKENS


@given(stage_lists())
def test_steps_of_the_stages_follow_one_another_without_gap(stages: list[Stage]) -> None:
    plans = Curriculum(stages, GLOBAL_BATCH_TOKENS).stages
    assert plans[0].first_step == 0
    assert [plan.end_step for plan in plans[:-1]] == [plan.first_step for plan in plans[1:]]


@pytest.mark.parametrize(
    ("until", "steps"), [(10, 1), (11, 2), (19, 2), (20, 2), (21, 3)], ids=lambda number: str(number)
)
def test_the_step_that_reaches_until_tokens_is_the_last_of_its_stage(until: int, steps: int) -> None:
    curriculum = Curriculum([Stage(5, until), Stage(10, 100)], 10)
    assert curriculum.stages[0].end_step == steps
    assert curriculum.stage(steps - 1).context_length == 5
    assert curriculum.stage(steps).context_length == 10


def test_a_stage_shorter_than_what_is_left_of_a_step_has_no_step() -> None:
    curriculum = Curriculum([Stage(5, 11), Stage(2, 13), Stage(10, 40)], 10)
    assert [plan.end_step - plan.first_step for plan in curriculum.stages] == [2, 0, 2]
    assert [curriculum.stage(step).index for step in range(4)] == [0, 0, 2, 2]


@pytest.mark.parametrize("step", [-1, 4, 1_000])
def test_there_is_no_stage_outside_the_run(step: int) -> None:
    with pytest.raises(IndexError):
        Curriculum([Stage(5, 40)], 10).stage(step)


@given(
    micro_batch_size=st.integers(1, 7),
    data_parallel_size=st.integers(1, 6),
    accumulation=st.integers(1, 5),
    context_length=st.integers(1, 9),
)
def test_micro_batches_cover_the_global_batch_exactly_once(
    micro_batch_size: int, data_parallel_size: int, accumulation: int, context_length: int
) -> None:
    samples = micro_batch_size * data_parallel_size * accumulation
    stage = Curriculum([Stage(context_length, 1, micro_batch_size)], samples * context_length).stages[0]
    assert stage.samples == samples
    assert stage.accumulation(data_parallel_size) == accumulation
    dealt = [
        position
        for micro_step in range(accumulation)
        for rank in range(data_parallel_size)
        for position in stage.micro_batch(micro_step, rank, data_parallel_size)
    ]
    assert dealt == list(range(samples))


@given(st.integers(1, 200), st.integers(1, 20), st.integers(1, 64))
def test_any_number_of_data_ranks_shares_a_global_batch_evenly(samples: int, largest: int, data_ranks: int) -> None:
    (stage,) = Curriculum([Stage(1, samples, largest)], samples).stages
    micro_steps = stage.accumulation(data_ranks)
    parts = [stage.micro_batch(m, rank, data_ranks) for m in range(micro_steps) for rank in range(data_ranks)]
    assert [position for part in parts for position in part] == list(range(samples))
    sizes = {len(part) for part in parts}
    assert max(sizes) - min(sizes) <= 1 and max(sizes) == stage.largest_micro_batch(data_ranks) <= largest
    assert (micro_steps - 1) * largest * data_ranks < samples, "with one micro step less they would not fit"


def test_the_clock_of_a_recipe_is_its_global_batch() -> None:
    config = load_recipe("quickstart")
    curriculum = Curriculum.of(config)
    assert curriculum.global_batch_tokens == config.optim.global_batch_tokens
    assert curriculum.tokens >= config.curriculum[-1].until_tokens
