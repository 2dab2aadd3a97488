"""Classes read from the model's own logits: tokens of its vocabulary stand for them, as in the paper's section 4.4.

Shapes: N rows, B rows of a batch, L positions, K classes, V vocabulary rows.

A sequence ends with [SEP], and the answer is the token of a class that is most probable after it.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hdna.downstream.metrics import Ints
from hdna.downstream.tasks.features import Tokens, batches
from hdna.downstream.tasks.problem import Problem, Rows
from hdna.downstream.tasks.task_model import POSITIONS
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.genome.alphabet import EMBEDDING_ROWS, SEP, VOCABULARY

UNUSED = tuple(range(len(VOCABULARY), EMBEDDING_ROWS))
ANSWERS = (
    *(alphabet.A, alphabet.C, alphabet.G, alphabet.T),
    *(alphabet.N, alphabet.CLS, alphabet.BOS, alphabet.MASK, alphabet.RESERVED, alphabet.UNK),
    *UNUSED,
)
"""Tokens that stand for classes, in their order. The paper takes A and N for two classes; here N is no target in
pretraining unless it is asked for, so that its logit lies some 10 nats below the bases': before any prompt has moved
it that far, a loss over A and N teaches nothing about sequences."""


def answers_of(problem: Problem) -> Ints:
    """(K,) the token of each class. Raises InputError for labels that tokens cannot stand for."""
    if problem.kind != "single_label" or len(problem.names) > len(ANSWERS):
        raise InputError(
            f"{problem.name}: classes are read from tokens of the vocabulary: want one class of at most {len(ANSWERS)} "
            "for each sequence: use --method probe or finetune for other labels"
        )
    return np.array(ANSWERS[: len(problem.names)], np.int64)


def ended(tokens: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A sequence and the separator after which its class is asked for."""
    return np.append(tokens, np.uint8(SEP))


def at_ends(logits_BLV: Tensor, lengths_B: Tensor) -> Tensor:
    """(B, V): the logits at the last of each row's own positions."""
    return logits_BLV[torch.arange(len(lengths_B), device=lengths_B.device), lengths_B - 1]


@torch.no_grad()
def asked_in_batches(
    tokens: Tokens, ask: Callable[[Tokens], Tensor], classes: int, l_max: int, before: int = 0
) -> Tensor:
    """What `ask` says of batches of rows, before which it puts `before` positions: (N, K) logits in fp64."""
    lengths_N = np.array([len(row) for row in tokens])
    logits_NK = torch.zeros(len(tokens), classes, dtype=torch.float64)
    for numbers in batches(lengths_N, POSITIONS, l_max, before):
        logits_NK[torch.from_numpy(numbers)] = ask([tokens[row] for row in numbers]).double().cpu()
    return logits_NK


def few(rows: Rows, shots: int, seed: int) -> Rows:
    """So many rows of each class, or all where there are fewer, drawn at random."""
    order = np.random.default_rng(seed).permutation(len(rows))
    drawn = [order[rows.labels[order] == label][:shots] for label in np.unique(rows.labels)]
    return rows.take(np.sort(np.concatenate(drawn)))
