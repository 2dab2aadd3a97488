"""From logits to log likelihoods of given tokens.

Shapes: R rows, A tokens scored, V vocabulary rows.
"""

import torch
from torch import Tensor


def log_likelihood(logits_RAV: Tensor, tokens_RA: Tensor, counted_RA: Tensor) -> Tensor:
    """Nats (R,) of the tokens that count, each under the logits before it: fp64 sums of fp32 log probabilities."""
    found_RA = torch.log_softmax(logits_RAV, -1).gather(-1, tokens_RA[..., None]).squeeze(-1)
    return (found_RA.double() * counted_RA).sum(-1)
