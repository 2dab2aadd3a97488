"""Forward and backward of HyenaDNA against a Transformer of the same depth and width, over context length.

Both are recomputed block by block, in one process, in turns; the Transformer has the fastest attention that torch has
on the device. Source of the setting: HyenaDNA (arXiv 2306.15794), figure 4.1: 2 layers, width 128, one sample, gradient
checkpointing, 8 heads.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from hdna.benchmark.timing import interleaved
from hdna.benchmark.transformer import Transformer, usable_backends
from hdna.config.schema import ModelConfig
from hdna.genome import alphabet
from hdna.model import HyenaDNA, weighted_nats

_PROBE_LENGTH = {"cpu": 2**11, "cuda": 2**15}
"""Where attention's implementations are compared: at 4,096 on an H200 a step is mostly launches, and the slowest of
three, 3.6 times as slow at 131,072, won once."""


@dataclass(frozen=True)
class Setting:
    """What is compared."""

    width: int = 128
    layers: int = 2
    head_dim: int = 64
    bf16: bool = False
    batch: int = 1


@dataclass(frozen=True)
class Row:
    """One context length; None where memory, or patience, ended."""

    context_length: int
    hyena_seconds: float | None
    attention_seconds: float | None
    attention: str
    """Which of torch's implementations."""

    @property
    def ratio(self) -> float | None:
        """How many times as long attention takes."""
        if self.hyena_seconds is None or self.attention_seconds is None:
            return None
        return self.attention_seconds / self.hyena_seconds


def compare(setting: Setting, lengths: list[int], device: torch.device, limit_s: float, repeats: int) -> Iterator[Row]:
    """A row for each length, shortest first; a model whose next step would take longer than `limit_s` is left out."""
    dtype = torch.bfloat16 if setting.bf16 else torch.float32
    backends = usable_backends(device, dtype, setting.head_dim)
    backend = _fastest(setting, backends, device)
    expected = {"hyena": 0.0, "attention": 0.0}
    before = 0
    for length in sorted(lengths):
        growth = length / before if before else 1.0
        builds = {}
        if expected["hyena"] * growth <= limit_s:
            builds["hyena"] = partial(_hyena, setting, length, device)
        if expected["attention"] * growth**2 <= limit_s:
            builds["attention"] = partial(_transformer, setting, length, device, backend)
        times = _times(builds, device, repeats)
        expected = {name: times.get(name, float("inf")) for name in expected}
        before = length
        yield Row(length, times.get("hyena"), times.get("attention"), backend.name.lower())


def _times(
    builds: Mapping[str, Callable[[], Callable[[], None]]], device: torch.device, repeats: int
) -> dict[str, float]:
    """Median seconds of each that memory suffices for."""
    runs = {}
    for name, build in builds.items():
        try:
            run = build()
            run()
            runs[name] = run
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
    return interleaved(runs, device, repeats)


def _fastest(setting: Setting, backends: list[SDPBackend], device: torch.device) -> SDPBackend:
    if len(backends) == 1:
        return backends[0]
    runs = {backend.name: _transformer(setting, _PROBE_LENGTH[device.type], device, backend) for backend in backends}
    for run in runs.values():
        run()
    medians = interleaved(runs, device, repeats=3)
    return min(backends, key=lambda backend: medians[backend.name])


def _hyena(setting: Setting, length: int, device: torch.device) -> Callable[[], None]:
    model = HyenaDNA(_config(setting, length)).to(device)
    model.backbone.activation_checkpointing = True
    model.backbone.use_cuda_graphs(device.type == "cuda", setting.batch * length)
    return _step(model, setting, length, device)


def _transformer(setting: Setting, length: int, device: torch.device, backend: SDPBackend) -> Callable[[], None]:
    heads = setting.width // setting.head_dim
    model = Transformer(_config(setting, length), heads, recompute=True).to(device)
    step = _step(model, setting, length, device)

    def run() -> None:
        with sdpa_kernel(backend):
            step()

    return run


def _config(setting: Setting, length: int) -> ModelConfig:
    return ModelConfig(d_model=setting.width, n_layer=setting.layers, l_max=length, embed_dropout=0.0)


def _step(model: nn.Module, setting: Setting, length: int, device: torch.device) -> Callable[[], None]:
    ids_BL = torch.randint(alphabet.A, alphabet.T + 1, (setting.batch, length), device=device)
    targets_BL, weights_BL = ids_BL.roll(-1, dims=1), torch.ones(ids_BL.shape, device=device)

    def run() -> None:
        with torch.autocast(device.type, torch.bfloat16) if setting.bf16 else nullcontext():
            logits = model(ids_BL)
        (weighted_nats(logits, targets_BL, weights_BL) / length).backward()
        model.zero_grad()

    return run
