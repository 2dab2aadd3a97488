"""A small convolutional network, like the one that GenomicBenchmarks come with: a baseline that sees motifs.

Shapes: B rows of a batch, L positions of the longest, C channels, K outputs, M bases of a batch.

Padding is nothing to it: what lies past a row's end is 0 before each convolution, as past the end of a row alone.
"""

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdna.downstream.metrics import Floats, Ints
from hdna.downstream.tasks.features import ONE_PROCESS, Padded, Tokens, batches
from hdna.downstream.tasks.fitting import Schedule, Step, fit
from hdna.downstream.tasks.heads import Head
from hdna.downstream.tasks.problem import Method, Problem, Rows
from hdna.genome import alphabet
from hdna.train.optim import RATE

CHANNELS, KERNEL = 64, 9
POOLED = 4
"""Positions of which the highest value goes on from the first layer, but for labels of single bases."""
POSITIONS = 2**16
"""Of a batch that is scored: bounds memory."""
SCHEDULE = Schedule(epochs=20, learning_rate=2e-3, rows_per_step=64, patience=3)
_UNBOUNDED = 1 << 31
"""In place of a context: convolutions have none."""


class ConvNet(nn.Module):
    """Three convolutions, and a linear layer on the mean and the maximum over a row, or on each base's channels."""

    def __init__(self, meaning: Head) -> None:
        super().__init__()
        self.meaning = meaning
        self.per_base = meaning.kind == "per_base"
        widths = (len("ACGTN"), CHANNELS, CHANNELS, CHANNELS)
        self.convolutions = nn.ModuleList(nn.Conv1d(*pair, KERNEL, padding=KERNEL // 2) for pair in pairwise(widths))
        self.norms = nn.ModuleList(nn.LayerNorm(CHANNELS) for _ in self.convolutions)
        self.head = nn.Linear(CHANNELS if self.per_base else 2 * CHANNELS, meaning.outputs)

    def forward(self, tokens: Tokens) -> Tensor:
        """Logits (B, K) of rows, or (M, K) of their bases one after another."""
        batch = Padded.of(_to_multiple(tokens, POOLED), self.head.weight.device, _UNBOUNDED)
        lengths_B = torch.tensor([len(row) for row in tokens], device=self.head.weight.device)
        codes_BL = batch.ids_BS - alphabet.A
        letters_BL = torch.where((codes_BL < 0) | (codes_BL > alphabet.T - alphabet.A), len("ACGT"), codes_BL)
        x_BCL = F.one_hot(letters_BL, len("ACGTN")).transpose(1, 2).to(self.head.weight.dtype)
        own_BL = _is_own(lengths_B, x_BCL.shape[2])
        for number, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x_BCL = convolution(x_BCL * own_BL[:, None])
            x_BCL = F.relu(norm(x_BCL.transpose(1, 2)).transpose(1, 2)) * own_BL[:, None]
            if number == 0 and not self.per_base:
                x_BCL, lengths_B = F.max_pool1d(x_BCL, POOLED), -(-lengths_B // POOLED)
                own_BL = _is_own(lengths_B, x_BCL.shape[2])
        if self.per_base:
            logits: Tensor = self.head(x_BCL.transpose(1, 2)[own_BL])
        else:
            logits = self.head(torch.cat([x_BCL.sum(2) / lengths_B[:, None], x_BCL.amax(2)], 1))
        return logits


def cnn(device: torch.device, schedule: Schedule = SCHEDULE) -> Method:
    """Learn a ConvNet from new weights until the valid loss no longer falls."""

    def method(problem: Problem, train: Rows, valid: Rows, asked: Rows) -> Floats:
        meaning = Head.of(problem, train)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            net = ConvNet(meaning).to(device)

        def gradient(step: Step) -> None:
            rows = train.take(step.rows)
            (meaning.loss(net(rows.tokens), rows.labels) / max(1, meaning.count(rows.labels))).backward()

        def valid_loss() -> float:
            return float(meaning.loss(_over(net, valid), valid.labels))

        groups = [{"params": list(net.parameters()), "weight_decay": schedule.weight_decay, RATE: 1.0}]
        fit(groups, len(train), gradient, valid_loss, schedule, ONE_PROCESS)
        return meaning.scores(_over(net, asked))

    return method


@torch.no_grad()
def _over(net: ConvNet, rows: Rows) -> Tensor:
    """Logits of all rows, or of all their bases, in their order."""
    lengths: Ints = np.array([len(own) for own in rows.tokens], np.int64)
    parts: list[Tensor] = [torch.empty(0)] * len(rows)
    for numbers in batches(lengths, POSITIONS, _UNBOUNDED):
        found = net([rows.tokens[row] for row in numbers])
        sizes = lengths[numbers].tolist() if net.per_base else [1] * len(numbers)
        for row, own in zip(numbers.tolist(), found.split(sizes), strict=True):
            parts[row] = own
    return torch.cat(parts)


def _to_multiple(tokens: Tokens, of: int) -> Tokens:
    """Rows of which the longest has a multiple of so many positions, so that pooling drops none of it."""
    longest = max(len(row) for row in tokens)
    pad = np.full(-longest % of, alphabet.PAD, np.uint8)
    return [np.concatenate([row, pad]) if len(row) == longest else row for row in tokens]


def _is_own(lengths_B: Tensor, positions: int) -> Tensor:
    return torch.arange(positions, device=lengths_B.device) < lengths_B[:, None]
