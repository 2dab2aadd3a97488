"""Few-shot labels in context: labelled sequences before the one that is asked about (section 4.4 of the paper).

    bases [SEP] class  bases [SEP] class  ...  bases [SEP] ?

A model that has only ever read genomes does not know the format: a brief tuning phase on prompts made of train rows
teaches it all weights, as in the paper. The classes shown before the query are learned from too.

Shapes: B prompts of a batch, L positions, V vocabulary rows, K classes, Q classes asked for in a batch.
"""

import zlib
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from hdna.downstream.metrics import Floats, Ints
from hdna.downstream.subject import Subject
from hdna.downstream.tasks.features import ONE_PROCESS, Padded, Tokens, batches
from hdna.downstream.tasks.finetune import copy_of, groups_of
from hdna.downstream.tasks.fitting import Schedule, Step, fit
from hdna.downstream.tasks.heads import Head
from hdna.downstream.tasks.label_tokens import answers_of, asked_in_batches, at_ends, ended
from hdna.downstream.tasks.problem import Method, Problem, Rows
from hdna.downstream.tasks.task_model import POSITIONS, lengths
from hdna.errors import InputError
from hdna.genome.alphabet import SEP
from hdna.model import HyenaDNA
from hdna.progress import Progress

SHOTS = 2
DEFAULT = Schedule(epochs=4, learning_rate=1e-3, rows_per_step=32, patience=3)


@dataclass(frozen=True)
class Demonstrations:
    """Where prompts come from."""

    rows: Rows
    answers_K: Ints
    """The token of each class."""
    shots: int
    """Of each class."""

    def prompt(self, query: npt.NDArray[np.uint8], seed: tuple[int, ...], but: int = -1) -> npt.NDArray[np.uint8]:
        """A query after demonstrations of every class in random order, none of them row number `but`."""
        rng = np.random.default_rng(seed)
        drawn: list[int] = []
        for label in range(len(self.answers_K)):
            members = np.flatnonzero(self.rows.labels == label)
            members = members[members != but]
            drawn += rng.choice(members, size=min(self.shots, len(members)), replace=False).tolist()
        parts = [self._shown(row) for row in rng.permutation(np.array(drawn, np.int64))]
        return np.concatenate([*parts, ended(query)])

    def answered(self, row: int, seed: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """A prompt that asks for one of the rows, and its answer."""
        answer = np.uint8(self.answers_K[self.rows.labels[row]])
        return np.append(self.prompt(self.rows.tokens[row], seed, but=row), answer)

    def _shown(self, row: int) -> npt.NDArray[np.uint8]:
        return np.append(ended(self.rows.tokens[row]), np.uint8(self.answers_K[self.rows.labels[row]]))


def in_context(subject: Subject, shots: int = SHOTS, schedule: Schedule = DEFAULT) -> Method:
    """Show `shots` train rows of each class, or as many as fit the context; 0: the query alone."""

    def method(problem: Problem, train: Rows, valid: Rows, asked: Rows) -> Floats:
        answers_K, meaning = answers_of(problem), Head.of(problem, train)
        fitting = shots_that_fit(subject, problem, shots, (train, valid, asked))
        shown = Demonstrations(train, answers_K, fitting)
        model = copy_of(subject, schedule.seed)

        def gradient(step: Step) -> None:
            model.train()
            seed = schedule.seed, step.number
            prompts = [shown.answered(int(row), (*seed, int(row))) for row in step.rows]
            add_gradient(model, prompts, answers_K, step.number)

        def logits(rows: Rows) -> Tensor:
            model.eval()
            # Demonstrations are drawn by the query's own bases: an answer depends on nothing else that is asked.
            seeds = [(schedule.seed, zlib.crc32(own.tobytes())) for own in rows.tokens]
            prompts = [shown.prompt(own, seed) for own, seed in zip(rows.tokens, seeds, strict=True)]
            ask = partial(_answers, model, answers_K)
            return asked_in_batches(prompts, ask, len(answers_K), model.config.l_max)

        def valid_loss() -> float:
            return float(meaning.loss(logits(valid), valid.labels))

        fit(groups_of(model, schedule), len(train), gradient, valid_loss, schedule, ONE_PROCESS)
        return meaning.scores(logits(asked))

    return method


def shots_that_fit(subject: Subject, problem: Problem, shots: int, parts: tuple[Rows, ...]) -> int:
    """The most demonstrations of each class that fit the context beside the longest query; says so if these are fewer.

    Raises InputError when not even a query fits.
    """
    longest, l_max = max(int(lengths(rows).max()) for rows in parts), subject.config.model.l_max
    if longest + 2 > l_max:
        raise InputError(
            f"{problem.name}: a sequence of {longest} bases, its separator and its class do not fit the model's "
            f"context of {l_max}: shorten the sequences"
        )
    fitting = min(shots, (l_max - longest - 2) // (len(problem.names) * (longest + 2)))
    if fitting < shots:
        Progress().print(
            f"{problem.name}: {fitting} of {shots} demonstrations of each class fit the context of {l_max} beside a "
            f"query, at {longest} bases each"
        )
    return fitting


def add_gradient(model: HyenaDNA, prompts: Tokens, answers_K: Ints, number: int) -> None:
    """Add the gradient of the mean loss over all classes in prompts that end with their answer."""
    total = sum(int((prompt == SEP).sum()) for prompt in prompts)
    device, l_max = model.embedding.weight.device, model.config.l_max
    answers = torch.from_numpy(answers_K).to(device)
    for numbers in batches(np.array([len(prompt) for prompt in prompts]), POSITIONS, l_max):
        ids_BL = Padded.of([prompts[prompt] for prompt in numbers], device, l_max).ids_BS
        model.embed_dropout.set_position(number, torch.from_numpy(numbers).to(device))
        asks_BL = ids_BL[:, :-1] == SEP
        truth_Q = (ids_BL[:, 1:][asks_BL][:, None] == answers).int().argmax(1)
        logits_QK = model(ids_BL)[:, :-1][asks_BL][:, answers]
        (F.cross_entropy(logits_QK, truth_Q, reduction="sum") / total).backward()


def _answers(model: HyenaDNA, answers_K: Ints, prompts: Tokens) -> Tensor:
    """Logits (B, K) of the classes of the queries."""
    batch = Padded.of(prompts, model.embedding.weight.device, model.config.l_max)
    return at_ends(model(batch.ids_BS), batch.lengths_B)[:, torch.from_numpy(answers_K)]
