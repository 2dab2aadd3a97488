"""How fast this machine trains: timed on a few real steps."""

import statistics

import torch

from hdna.benchmark.timing import seconds
from hdna.config import ModelConfig
from hdna.genome import alphabet
from hdna.model import HyenaDNA, weighted_nats
from hdna.model.flops import train_flops_per_token

_TIMED = 3


def measured_flops(model: ModelConfig, context_length: int, samples: int, bf16: bool, device: torch.device) -> float:
    """Model FLOP/s of this machine: the median of three steps, after one that is not counted.

    A step is a forward and backward pass of random bases and AdamW's update, without DeepSpeed, Ray or reading data.
    """
    module = HyenaDNA(model).to(device).train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.0)
    tokens = torch.randint(alphabet.A, alphabet.T + 1, (samples, context_length + 1), device=device)
    weights = torch.ones(samples, context_length, device=device)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = module(tokens[:, :-1])
        weighted_nats(logits, tokens[:, 1:], weights).backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    taken = statistics.median(seconds(step, device) for _ in range(_TIMED))
    return samples * context_length * train_flops_per_token(model, context_length, samples) / taken
