"""Classes read from the vocabulary: soft prompts, and demonstrations in context."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.planted_labels import planted_problem, untrained_subject

from hdna.downstream import metrics
from hdna.downstream.subject import Subject
from hdna.downstream.tasks import label_tokens
from hdna.downstream.tasks.fitting import Schedule
from hdna.downstream.tasks.in_context import Demonstrations, add_gradient, in_context, shots_that_fit
from hdna.downstream.tasks.label_tokens import answers_of, asked_in_batches, ended, few
from hdna.downstream.tasks.problem import Problem, Rows
from hdna.downstream.tasks.soft_prompt import Prompted, soft_prompt
from hdna.errors import InputError
from hdna.genome.alphabet import SEP, A, T

SOFT = Schedule(epochs=2, learning_rate=1e-1, rows_per_step=8, patience=3)
SHOWN = Schedule(epochs=6, learning_rate=4e-3, rows_per_step=8, patience=3)


@pytest.fixture(scope="module")
def answering() -> Subject:
    """Weights that answer with the class's token after a sequence: an untaught model has nothing a prompt could ask."""
    problem, subject = planted_problem(), untrained_subject(d_model=16)
    answers, rng = answers_of(problem), np.random.default_rng(0)
    model = subject.model.requires_grad_()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(100):
        prompts = []
        for row in range(step % 9, len(problem.train), 9):
            before = rng.integers(A, T + 1, size=rng.integers(60)).astype(np.uint8)
            prompts.append(np.concatenate([before, ended(problem.train.tokens[row]), answers[[row % 2]]]))
        optimizer.zero_grad()
        add_gradient(model, [prompt.astype(np.uint8) for prompt in prompts], answers, step)
        optimizer.step()
    model.requires_grad_(False)
    return subject


def quality(problem: Problem, scores: metrics.Floats, rows: Rows) -> float:
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-12)
    return metrics.auroc(rows.labels.astype(np.int64), scores[:, 1])


def test_a_model_reads_embeddings_as_it_reads_tokens() -> None:
    """Bit for bit."""
    model = untrained_subject().model
    ids = torch.from_numpy(planted_problem(train=4).train.tokens[0][None]).long()
    assert torch.equal(model.from_embeddings(model.embedding(ids)), model(ids))


def test_a_soft_prompt_finds_what_is_planted_and_leaves_every_bit_of_the_weights(answering: Subject) -> None:
    problem = planted_problem()
    before = {name: value.clone() for name, value in answering.model.state_dict().items()}
    scores = soft_prompt(answering, 64, schedule=SOFT)(problem, problem.train, problem.valid, problem.test)
    assert quality(problem, scores, problem.test) > 0.9
    assert all(torch.equal(value, before[name]) for name, value in answering.model.state_dict().items())


def test_a_soft_prompt_learns_against_what_the_model_would_answer(answering: Subject) -> None:
    """Labels the other way round: wrong with confidence at first."""
    problem = planted_problem()
    other = {part: replace(rows, labels=1 - rows.labels) for part, rows in parts_of(problem).items()}
    nats = []
    for epochs in (0, SOFT.epochs):
        method = soft_prompt(answering, 64, schedule=replace(SOFT, epochs=epochs))
        scores = method(problem, other["train"], other["valid"], problem.test)
        nats.append(-np.log(scores[np.arange(100), other["test"].labels.astype(np.int64)]).mean())
    assert nats[1] < 0.92 * nats[0]


@pytest.mark.parametrize("shots", [0, 1])
def test_demonstrations_in_context_find_what_is_planted(shots: int) -> None:
    problem, subject = planted_problem(), untrained_subject(d_model=16)
    scores = in_context(subject, shots, SHOWN)(problem, problem.train, problem.valid, problem.test)
    assert quality(problem, scores, problem.test) > 0.9


def test_shuffled_labels_teach_nothing_and_labels_of_rows_asked_about_are_never_read() -> None:
    problem, subject = planted_problem(train=40), untrained_subject()
    train, valid, test = (shuffled(part) for part in (problem.train, problem.valid, problem.test))
    for method in (
        soft_prompt(subject, 4, schedule=replace(SOFT, epochs=1)),
        in_context(subject, 1, replace(SHOWN, epochs=1)),
    ):
        first = method(problem, train, valid, problem.test)
        assert abs(quality(problem, first, test) - 0.5) < 0.2  # 3 standard errors of 100 rows are 0.17
        np.testing.assert_array_equal(first, method(replace(problem, test=test), train, valid, test))


def test_an_answer_does_not_depend_on_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, subject = planted_problem(train=10), untrained_subject()
    prompted = Prompted(subject.model, 5, answers_of(problem), 0)
    rows = [ended(own) for own in problem.test.tokens]
    together = asked_in_batches(rows, prompted, 2, prompted.room, 5).softmax(-1)
    method = in_context(subject, 1, replace(SHOWN, epochs=0))
    answers = method(problem, problem.train, problem.valid, problem.test)
    last = problem.test.take(np.array([99, 3]))
    np.testing.assert_allclose(method(problem, problem.train, problem.valid, last), answers[[99, 3]], atol=1e-6)
    monkeypatch.setattr(label_tokens, "POSITIONS", 1)
    alone = asked_in_batches(rows, prompted, 2, prompted.room, 5).softmax(-1)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_a_prompt_shows_so_many_of_each_class_and_never_the_row_it_asks_about() -> None:
    problem = planted_problem(train=10)
    answers = answers_of(problem)
    shown = Demonstrations(problem.train, answers, 4)
    for row in range(10):
        prompt = shown.answered(row, (1, row))
        query = ended(problem.train.tokens[row])
        assert prompt[-1] == answers[problem.train.labels[row]]
        np.testing.assert_array_equal(prompt[-1 - len(query) : -1], query)
        classes = prompt[1:][prompt[:-1] == SEP][:-1]
        assert [int((classes == answer).sum()) for answer in answers] == [4, 4]
        demonstrations = bytes(prompt[: -1 - len(query)]).split(bytes([SEP]))
        assert bytes(problem.train.tokens[row]) not in [part[-len(query) + 1 :] for part in demonstrations]


def test_as_many_shots_are_shown_as_fit_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    problem = planted_problem(train=10)
    parts, subject = (problem.train, problem.valid, problem.test), untrained_subject()
    longest = max(len(own) for rows in parts for own in rows.tokens)
    assert shots_that_fit(subject, problem, 1, parts) == 1
    assert not capsys.readouterr().err
    assert shots_that_fit(subject, problem, 9, parts) == (256 - longest - 2) // (2 * (longest + 2)) == 1
    assert "1 of 9 demonstrations of each class fit" in capsys.readouterr().err
    with pytest.raises(InputError, match="do not fit the model's context of 50"):
        shots_that_fit(untrained_subject(l_max=50), problem, 1, parts)


def test_what_does_not_fit_or_has_no_tokens_is_refused() -> None:
    subject: Subject = untrained_subject()
    problem = planted_problem(train=10)
    with pytest.raises(InputError, match="a prompt of 250 vectors"):
        soft_prompt(subject, 250)(problem, problem.train, problem.valid, problem.test)
    with pytest.raises(InputError, match="want one class of at most 14"):
        answers_of(planted_problem("regression", train=4))


def test_few_rows_are_so_many_of_each_class() -> None:
    rows = planted_problem(train=30).train
    assert np.bincount(few(rows, 5, 0).labels.astype(np.int64)).tolist() == [5, 5]
    assert len(few(rows, 50, 0)) == 30
    assert not np.array_equal(few(rows, 5, 0).groups, few(rows, 5, 1).groups)


def parts_of(problem: Problem) -> dict[str, Rows]:
    return {"train": problem.train, "valid": problem.valid, "test": problem.test}


def shuffled(rows: Rows) -> Rows:
    return replace(rows, labels=np.random.default_rng(3).permutation(rows.labels))
