"""HyenaDNA as a single process sees it: no ranks, no groups, no devices."""

from hdna.model.backbone import HyenaDNA
from hdna.model.flops import parameter_count, parameter_tensors, train_flops_per_token
from hdna.model.loss import IGNORE, weighted_nats
from hdna.model.tokenizer import Tokenizer

__all__ = [
    "HyenaDNA",
    "Tokenizer",
    "IGNORE",
    "weighted_nats",
    "parameter_count",
    "parameter_tensors",
    "train_flops_per_token",
]
