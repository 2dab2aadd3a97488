"""The door to DeepSpeed and Apex: optimizer steps under any ZeRO stage, full parameters and moments in and out.

Precision: parameters, gradients, moments and collectives are fp32; `bf16` runs the matrix products in bfloat16 by
autocast inside the wrapped module. HyenaDNA is small (published models have at most 6.6 M parameters), so bfloat16
parameter copies would save nothing, and rounding the filter's frequencies to eight bits would cost accuracy at long
context.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from hdna.checkpoint.files import MOMENTS
from hdna.config import RunConfig
from hdna.model import HyenaDNA
from hdna.model.loss import weighted_nats
from hdna.model.norm import Norm
from hdna.parallel.mesh import Mesh, bound_waiting
from hdna.train.optim import BETAS, RATE, parameter_groups

_BUCKET_ELEMENTS = 1 << 24
"""Size of ZeRO's buffers: its default of 5e8 would take 2 GB beside a model of 26 MB."""
_MUON = "deepspeed.runtime.zero.muon.muon_optimizer"
"""DeepSpeed imports it with every optimizer, to ask whether it is that one: 1.3 s of a start, if it were compiled."""


class NatsOfBatch(nn.Module):
    """HyenaDNA with loss and precision, as one module for DeepSpeed: a micro-batch in, its sum of nats out."""

    def __init__(self, model: HyenaDNA, bf16: bool) -> None:
        super().__init__()
        self.model = model
        self._bf16 = bf16

    def forward(self, input_ids: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Sum over positions of weight · nats; input_ids, targets, weights (B, L)."""
        # Inside the module, because DeepSpeed disables an autocast around its engine.
        with torch.autocast(input_ids.device.type, torch.bfloat16) if self._bf16 else nullcontext():
            logits = self.model(input_ids)
        return weighted_nats(logits, targets, weights)


class Engine:
    """A model under DeepSpeed, with the few operations that the training loop needs."""

    def __init__(self, model: HyenaDNA, config: RunConfig, device: torch.device) -> None:
        deepspeed = _import_deepspeed(device)
        self._deepspeed = deepspeed
        self._stage = config.parallel.zero_stage
        self._clip_norm = config.optim.clip_norm
        self._world_size = Mesh.of_this_process().world_size
        self.module = NatsOfBatch(model, config.parallel.precision == "bf16")
        groups = parameter_groups(self.module.named_parameters(), config.optim)
        self._deepspeed_engine, *_ = deepspeed.initialize(
            model=self.module,
            optimizer=_adamw(groups, device),
            config=_deepspeed_config(self._stage, self._clip_norm),
            dist_init_required=False,
        )
        self.device = self._deepspeed_engine.device
        self._bound_waiting(timedelta(seconds=config.parallel.collective_timeout_s))
        self._create_moments()

    def set_accumulation(self, micro_steps: int) -> None:
        """Set the micro steps per optimizer step, from the next step on."""
        self._deepspeed_engine.set_train_batch_size(micro_steps * self._world_size)

    def nats(self, input_ids: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """The sum of weighted nats of this rank's micro-batch."""
        nats: torch.Tensor = self._deepspeed_engine(input_ids, targets, weights)
        return nats

    def train_mode(self, training: bool) -> None:
        """Turn dropout on or off."""
        self._deepspeed_engine.train(training)

    def backward(self, nats: torch.Tensor, global_weight: float, last: bool) -> None:
        """Add this micro-batch's share of the gradient of (nats of the global batch / global_weight).

        DeepSpeed divides by the accumulation and the number of ranks; both are multiplied back, so that the gradient is
        exact however unevenly ignored targets are distributed. `last` marks the step's last micro-batch: by default,
        DeepSpeed derives it from a count of all micro steps, which goes wrong when the accumulation changes.
        """
        scale = self._world_size * self._deepspeed_engine.gradient_accumulation_steps() / global_weight
        self._deepspeed_engine.set_gradient_accumulation_boundary(last)
        self._deepspeed_engine.backward(nats * scale)

    def step(self, learning_rate: float) -> float:
        """Clip, update and clear gradients; return the gradient norm before clipping.

        A non-finite norm updates nothing.
        """
        for group in self._deepspeed_engine.optimizer.param_groups:
            group["lr"] = learning_rate * group[RATE]
        if self._stage == 0:
            return self._plain_step()
        self._deepspeed_engine.step()
        if self._stage == 3:
            # Its first micro step overwrites the previous step's gradients and the others add to them: the filters',
            # which come only with a step's last micro step (FilterCache), would be added to the previous step's.
            self._deepspeed_engine.optimizer.grad_partitions_flat_buffer.zero_()
        return (
            float("nan")
            if self._deepspeed_engine.optimizer.overflow
            else float(self._deepspeed_engine.get_global_grad_norm())
        )

    def _plain_step(self) -> float:
        """Stage 0, where DeepSpeed neither reports the norm nor skips a non-finite gradient."""
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), self._clip_norm)
        if not torch.isfinite(norm):
            self._deepspeed_engine.zero_grad()  # to None: AdamW skips parameters without a gradient
        self._deepspeed_engine.step()
        return float(norm)

    def sizes(self) -> dict[str, int]:
        """Elements of every full parameter, by name."""
        return {name: getattr(p, "ds_numel", p.numel()) for name, p in self.module.model.named_parameters()}

    def parameters(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every full parameter, in fp32. All ranks must iterate together."""
        for name, parameter in self.module.model.named_parameters():
            full = parameter.detach() if self._stage == 0 else self._tensors.safe_get_full_fp32_param(parameter)
            yield name, full

    def moments(self, moment: str) -> Iterator[tuple[str, torch.Tensor]]:
        """One Adam moment of every parameter, in full. All ranks must iterate together."""
        for name, parameter in self.module.model.named_parameters():
            if self._stage == 0:
                yield name, self._deepspeed_engine.optimizer.state[parameter][moment]
            else:
                yield name, self._tensors.safe_get_full_optimizer_state(parameter, moment)

    def restore(self, moments: dict[str, dict[str, torch.Tensor]], updates: int) -> None:
        """Set Adam's moments, by moment and parameter name, and its count of updates."""
        for moment, tensors in moments.items():
            for name, parameter in self.module.model.named_parameters():
                value = tensors[name].to(self.device)
                if self._stage == 0:
                    self._deepspeed_engine.optimizer.state[parameter][moment].copy_(value)
                else:
                    self._tensors.safe_set_full_optimizer_state(parameter, value, moment)
        for state in self._adam.state.values():
            state["step"].fill_(updates)
        if not isinstance(self._adam, torch.optim.AdamW):  # Apex counts in its parameter groups
            for group in self._adam.param_groups:
                group["step"] = updates

    def _bound_waiting(self, timeout: timedelta) -> None:
        """Give DeepSpeed's own process group the run's timeout instead of torch's default of half an hour."""
        if self._world_size > 1:
            bound_waiting(self._deepspeed_engine.data_parallel_group, timeout)

    def _create_moments(self) -> None:
        """Create Adam's state before the first step, so that a checkpoint can be loaded into it.

        ZeRO 1 and 2 link it to the parameters after the first parameter group's first step, and so miss the second
        group's state, which does not exist yet (DeepSpeed 0.19.8); once all of it exists, one call links all.
        """
        optimizer = self._deepspeed_engine.optimizer
        if self._stage == 0:
            owned = list(self.module.parameters())
        elif self._stage == 3:
            owned = optimizer.fp32_partitioned_groups_flat
        else:
            owned = optimizer.single_partition_of_fp32_groups
        for tensor in owned:
            moments = {moment: torch.zeros_like(tensor) for moment in MOMENTS}
            self._adam.state[tensor] = {"step": torch.zeros((), device=tensor.device), **moments}
        if self._stage in (1, 2):
            optimizer._lazy_init_hp_params_optimizer_state()

    @property
    def _adam(self) -> torch.optim.Optimizer:
        """The optimizer under ZeRO's."""
        optimizer = self._deepspeed_engine.optimizer
        adam: torch.optim.Optimizer = optimizer if self._stage == 0 else optimizer.optimizer
        return adam

    @property
    def _tensors(self) -> Any:  # noqa: ANN401 - DeepSpeed has no types
        return self._deepspeed.utils


def fused_kernels(device: torch.device) -> str:
    """Which AdamW and kernels a run on `device` uses, and why: for the start block and the doctor."""
    if device.type != "cuda":
        return "torch AdamW and LayerNorm (no GPU)"
    if apex_is_nvidia():
        return "NVIDIA Apex FusedAdam and FusedLayerNorm, Triton kernels"
    if find_spec("apex") is not None:
        return "torch fused AdamW, Triton kernels (the installed `apex` is PyPI's unrelated project, not NVIDIA's)"
    return "torch fused AdamW, Triton kernels (NVIDIA Apex is not installed)"


def apex_is_nvidia() -> bool:
    """Whether `apex` is NVIDIA's: PyPI has an unrelated project of that name without these modules."""
    try:
        return find_spec("apex.optimizers") is not None and find_spec("apex.normalization") is not None
    except ImportError:
        return False


def _import_deepspeed(device: torch.device) -> Any:  # noqa: ANN401 - DeepSpeed has no types
    if device.type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed

    # On CPU, DeepSpeed would compile an extension at start-up: 28-56 s and a C++ compiler, and a process killed
    # meanwhile leaves a lock on which every later start hangs. gloo does as well here. To ask which of its extensions
    # could be compiled, DeepSpeed starts a compiler and asks for GPUs: it need not.
    deepspeed.ops.__compatible_ops__ = {}
    _import_without_compiler(_MUON)
    deepspeed.init_distributed(dist_init_required=False, verbose=False)
    return deepspeed


def _import_without_compiler(name: str) -> None:
    """Import a module whose decorators would load torch's compiler for functions that nobody here calls."""
    compiles, torch.compile = torch.compile, _as_it_is  # type: ignore[assignment]
    try:
        import_module(name)
    finally:
        torch.compile = compiles


def _as_it_is(*_: object, **__: object) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return lambda function: function


def _adamw(groups: list[dict[str, Any]], device: torch.device) -> torch.optim.Optimizer:
    if device.type == "cuda" and apex_is_nvidia():
        from apex.optimizers import FusedAdam

        optimizer: torch.optim.Optimizer = FusedAdam(groups, betas=BETAS, adam_w_mode=True)
        return optimizer
    return torch.optim.AdamW(groups, betas=BETAS, fused=True)


def use_apex_layer_norm(model: nn.Module) -> None:
    """Make every norm compute by NVIDIA Apex's fused kernel."""
    from apex.normalization.fused_layer_norm import fused_layer_norm_affine

    def fused(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
        y: torch.Tensor = fused_layer_norm_affine(x, weight, bias, x.shape[-1:], eps)
        return y

    for module in model.modules():
        if isinstance(module, Norm):
            module.implementation = fused


def _deepspeed_config(stage: int, clip_norm: float) -> dict[str, Any]:
    return {
        # Micro-batches of one: we count samples ourselves; DeepSpeed only counts micro steps.
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": clip_norm if stage > 0 else 0.0,
        "zero_optimization": {
            "stage": stage,
            "reduce_bucket_size": _BUCKET_ELEMENTS,
            "allgather_bucket_size": _BUCKET_ELEMENTS,
            "stage3_prefetch_bucket_size": _BUCKET_ELEMENTS,
            "overlap_comm": False,
        },
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": None,
    }
