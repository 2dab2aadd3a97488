"""Soft prompts: a few vectors before each sequence are all that learns; the weights stay as they are (section 4.4).

Shapes: B rows of a batch, S prompt vectors, L positions of sequences and their separators, D = d_model, K classes.
"""

import numpy as np
import torch
from torch import Tensor, nn

from hdna.downstream.metrics import Floats, Ints
from hdna.downstream.subject import Subject
from hdna.downstream.tasks.features import ONE_PROCESS, Padded, Tokens, batches
from hdna.downstream.tasks.fitting import Schedule, Step, fit
from hdna.downstream.tasks.heads import Head
from hdna.downstream.tasks.label_tokens import answers_of, asked_in_batches, at_ends, ended, few
from hdna.downstream.tasks.problem import Method, Problem, Rows
from hdna.downstream.tasks.task_model import POSITIONS, lengths
from hdna.errors import InputError
from hdna.genome.alphabet import A, T
from hdna.model import HyenaDNA
from hdna.train.optim import RATE

TOKENS = 32
DEFAULT = Schedule(epochs=10, learning_rate=3e-2, rows_per_step=32, patience=3, weight_decay=0.0)
"""Fewer epochs than the paper's 20. On promoters a rate of 1e-1 does as well (MCC 0.31 and 0.32)."""


def soft_prompt(
    subject: Subject, tokens: int = TOKENS, shots: int | None = None, schedule: Schedule = DEFAULT
) -> Method:
    """Learn `tokens` vectors from all train rows, or from `shots` of each class."""

    def method(problem: Problem, train: Rows, valid: Rows, asked: Rows) -> Floats:
        answers = answers_of(problem)
        _refuse_long(subject.model, tokens, (train, valid, asked))
        meaning = Head.of(problem, train)
        learned_from = train if shots is None else few(train, shots, schedule.seed)
        prompted = Prompted(subject.model, tokens, answers, schedule.seed)

        def gradient(step: Step) -> None:
            rows = learned_from.take(step.rows)
            for numbers in batches(lengths(rows) + 1, POSITIONS, prompted.room, tokens):
                part = rows.take(numbers)
                (meaning.loss(prompted(_all_ended(part)), part.labels) / len(rows)).backward()

        def logits(rows: Rows) -> Tensor:
            return asked_in_batches(_all_ended(rows), prompted, len(answers), prompted.room, tokens)

        def valid_loss() -> float:
            return float(meaning.loss(logits(valid), valid.labels))

        groups = [{"params": [prompted.prompt_SD], "weight_decay": 0.0, RATE: 1.0}]
        fit(groups, len(learned_from), gradient, valid_loss, schedule, ONE_PROCESS)
        return meaning.scores(logits(asked))

    return method


class Prompted(nn.Module):
    """A frozen model behind vectors that begin as embeddings of random bases."""

    def __init__(self, model: HyenaDNA, tokens: int, answers_K: Ints, seed: int) -> None:
        super().__init__()
        device = model.embedding.weight.device
        bases_S = torch.from_numpy(np.random.default_rng(seed).integers(A, T + 1, size=tokens)).to(device)
        self._model = (model,)  # in a tuple, so that its weights are none of this module's parameters
        self.prompt_SD = nn.Parameter(model.embedding(bases_S).detach().clone())
        self._answers_K = torch.from_numpy(answers_K).to(device)
        self.room = model.config.l_max - tokens
        """Positions that are left for a sequence and its separator."""

    def forward(self, tokens: Tokens) -> Tensor:
        """Logits (B, K) of the classes after sequences that end with their separators."""
        (model,) = self._model
        batch = Padded.of(tokens, self.prompt_SD.device, self.room)
        x_BLD = model.embedding(batch.ids_BS)
        prompts_BSD = self.prompt_SD.expand(len(x_BLD), *self.prompt_SD.shape)
        logits_BLV = model.from_embeddings(torch.cat([prompts_BSD, x_BLD], 1))
        return at_ends(logits_BLV, batch.lengths_B + len(self.prompt_SD))[:, self._answers_K]


def _all_ended(rows: Rows) -> Tokens:
    return [ended(row) for row in rows.tokens]


def _refuse_long(model: HyenaDNA, tokens: int, parts: tuple[Rows, ...]) -> None:
    longest, l_max = max(int(lengths(rows).max()) for rows in parts), model.config.l_max
    if tokens < 1 or tokens + longest + 1 > l_max:
        raise InputError(
            f"a prompt of {tokens} vectors, a sequence of {longest} bases and a separator do not fit the model's "
            f"context of {l_max}: want 1 to {l_max - longest - 1} vectors, or shorter sequences"
        )
