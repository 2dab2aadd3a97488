# SPDX-License-Identifier: Apache-2.0
"""HyenaDNA for `transformers`: a causal language model of DNA. This file needs nothing beside torch and transformers.

`hdna export --to hf` puts a copy of it beside the weights, where `trust_remote_code=True` finds it. The names of
tensors and the fields of `config.json` are those of the published Hugging Face port of HyenaDNA.

Shapes: B batch, L new positions, T positions so far (the new ones among them), D = d_model, C = 3 D streams.
Sources: HyenaDNA (arXiv 2306.15794), Hyena (arXiv 2302.10866).

Padding: positions whose `attention_mask` is 0 are zeros to both convolutions. The model knows distances, no positions,
so that rows of unequal lengths give what each gives alone, padded on the right or, for `generate`, on the left.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    CausalLMOutputWithPast,
    SequenceClassifierOutputWithPast,
)

TAPS = 3
COPIES = [r"implicit_filter\.(?!1\.)\d+\.freq", r"lm_head\.weight"]
"""Tensors in a file that are, for other code, another time what is there already: the frequency, the embedding."""
BUFFER = 1 << 26
"""Numbers of a transform's buffer."""
SHIFT = 0.05
"""Added to the filter's decay; no file of published weights says it."""


DEFAULTS = {
    "d_model": 128,
    "n_layer": 2,
    "d_inner": None,  # 4 * d_model
    "vocab_size": 12,
    "pad_vocab_size_multiple": 8,
    "max_seq_len": 1026,
    "emb_dim": 5,
    "filter_order": 64,
    "num_inner_mlps": 2,
    "hyena_order": 2,
    "short_filter_order": TAPS,
    "activation_freq": 10.0,
    "embed_dropout": 0.1,
    "layer_norm_epsilon": 1e-5,
    "initializer_range": 0.02,
    "pad_token_id": 4,
}
"""Fields of `config.json`. Those that the published port has besides change nothing here."""


class HyenaDNAConfig(PretrainedConfig):
    """Geometry of the model: DEFAULTS, and what is given."""

    model_type = "hyenadna"
    attribute_map = {
        "hidden_size": "d_model",
        "num_hidden_layers": "n_layer",
        "intermediate_size": "d_inner",
        "max_position_embeddings": "max_seq_len",
    }

    def __init__(self, **given: Any) -> None:
        fields = {name: given.pop(name, default) for name, default in DEFAULTS.items()}
        if fields["hyena_order"] != 2 or fields["short_filter_order"] != TAPS:
            raise ValueError(f"hyena_order must be 2 and short_filter_order {TAPS}")
        fields["d_inner"] = fields["d_inner"] or 4 * fields["d_model"]
        # Logits have a column for each row of the embedding, and beam search expects as many as the vocabulary has.
        multiple = fields["pad_vocab_size_multiple"]
        fields["vocab_size"] = -(-fields["vocab_size"] // multiple) * multiple
        super().__init__(**given)
        for name, value in fields.items():
            setattr(self, name, value)


class LayerCache:
    """What one Hyena operator remembers of earlier positions: a new one costs a dot product of length T per channel.

    `inputs` (D, B, R) are those of the long convolution and `reversed_taps` (D, R) its filter, last lag first, with
    room for R >= T positions; `tail` (B, C, 2) is the end of the short convolution's input.
    """

    inputs: Tensor
    reversed_taps: Tensor
    tail: Tensor | None = None
    room = 0

    def append(self, u_BDL: Tensor, before: int, limit: int, taps: Callable[[int], Tensor]) -> None:
        """Remember the long convolution's inputs after the first `before`."""
        batch, width, new = u_BDL.shape
        if before + new > self.room:
            self.room = min(limit, 1 << (before + new).bit_length())
            grown = u_BDL.new_zeros(width, batch, self.room)
            if before:
                grown[..., :before] = self.inputs[..., :before]
            self.inputs, self.reversed_taps = grown, taps(self.room).flip(-1)
        self.inputs[..., before : before + new] = u_BDL.transpose(0, 1)

    def newest(self, length: int) -> Tensor:
        """The long convolution at the last of `length` positions, (B, D, 1)."""
        u_DBT, k_DT = self.inputs[..., :length], self.reversed_taps[:, -length:]
        return (u_DBT @ k_DT[..., None]).transpose(0, 1)


class HyenaCache:
    """The state of `generate` between two tokens."""

    is_compileable = is_croppable = False

    def __init__(self, layers: int) -> None:
        self.layers = [LayerCache() for _ in range(layers)]
        self.length = 0

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Positions seen."""
        return self.length

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Take the rows that a beam search goes on with."""
        for layer in self.layers:
            layer.inputs = layer.inputs.index_select(1, beam_idx.to(layer.inputs.device))
            layer.tail = None if layer.tail is None else layer.tail.index_select(0, beam_idx.to(layer.tail.device))


def cache_in(output: BaseModelOutputWithPast) -> HyenaCache | None:
    """The cache that a pass returns: `past_key_values`, which became `cache` in the course of transformers 5."""
    return next((value for value in output.values() if isinstance(value, HyenaCache)), None)


class Norm(nn.LayerNorm):
    """LayerNorm in fp32, whatever the dtype of its weights, which is that of its result."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) → (B, L, D)."""
        weight, bias = self.weight.float(), self.bias.float()
        return F.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps).to(self.weight.dtype)


class Sine(nn.Module):
    """sin(freq · x), with one learned frequency per hidden unit."""

    def __init__(self, width: int, freq: float) -> None:
        super().__init__()
        self.freq = nn.Parameter(torch.full((1, width), float(freq)))

    def forward(self, x: Tensor) -> Tensor:
        """(L, F) → (L, F)."""
        return torch.sin(self.freq * x)


class Positions(nn.Module):
    """The filter's inputs by lag: t (1, T, 1) from 0 to 1, and z (1, T, P), t again with P - 1 sines and cosines."""

    t: Tensor
    z: Tensor

    def __init__(self, length: int, features: int) -> None:
        super().__init__()
        bands = (features - 1) // 2
        t = torch.linspace(0, 1, length)[None, :, None]
        turns = torch.linspace(0, length - 1, length)[None, :, None] / length
        angles = torch.linspace(1e-4, bands - 1, bands) * (2 * math.pi * turns)
        self.register_buffer("z", torch.cat((t, angles.cos(), -angles.sin()), dim=-1))
        self.register_buffer("t", t)


class Decay(nn.Module):
    """The rate at which each channel's filter decays: δ (1, 1, D) per unit of t, down to a hundredth at 0.3 to 1.5."""

    deltas: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("deltas", torch.linspace(math.log(0.01) / 1.5, math.log(0.01) / 0.3, width)[None, None])


class HyenaFilter(nn.Module):
    """The long convolution's filter, from a small MLP on the lag. Stays in fp32: bf16 takes a lag of 300 for 301."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        width = config.filter_order
        layers = [nn.Linear(config.emb_dim, width), Sine(width, config.activation_freq)]
        for _ in range(config.num_inner_mlps):
            layers += [nn.Linear(width, width), nn.Identity()]  # which stands for the sine: there is one frequency
        self.bias = nn.Parameter(torch.randn(config.d_model))
        self.pos_emb = Positions(config.max_seq_len, config.emb_dim)
        self.implicit_filter = nn.ModuleList([*layers, nn.Linear(width, config.d_model, bias=False)])
        self.modulation = Decay(config.d_model)

    def taps(self, length: int) -> Tensor:
        """The filter (D, T) of lags 0 to T - 1, in fp32."""
        with torch.autocast(self.bias.device.type, enabled=False):
            sine, decay = self.implicit_filter[1], self.modulation.deltas[0].abs()
            h, t = self.pos_emb.z[0, :length], self.pos_emb.t[0, :length]
            for linear in self.implicit_filter[:-1:2]:
                h = sine(linear(h))
            h_TD = self.implicit_filter[-1](h)
            return (h_TD * (torch.exp(-t * decay) + SHIFT)).T

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "HyenaFilter":
        """Follow `.to(device)`, but not `.to(torch.bfloat16)` or `.half()`."""

        def same_dtype(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(same_dtype, recurse)


def causal_conv(u_BDT: Tensor, k_DT: Tensor, dtype: torch.dtype) -> Tensor:
    """y[t] = Σ k[t - s] u[s] over s <= t, (B, D, T) in fp32, by transforms in `dtype`, of some channels at a time."""
    batch, _, length = u_BDT.shape
    size = 1 << (2 * length - 1).bit_length()
    width = max(1, BUFFER // (batch * size))
    done = []
    for u, k in zip(u_BDT.split(width, dim=1), k_DT.split(width), strict=True):
        spectrum = torch.fft.rfft(u.to(dtype), n=size) * torch.fft.rfft(k.to(dtype), n=size)
        done.append(torch.fft.irfft(spectrum, n=size)[..., :length].float())
    return torch.cat(done, dim=1)


class HyenaOperator(nn.Module):
    """y = x0 · (k ∗ (x1 · v) + bias · (x1 · v)), with x0, x1 and v projections of x mixed over three positions."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        width = config.d_model
        self.max_seq_len = config.max_seq_len
        self.in_proj = nn.Linear(width, 3 * width)
        self.short_filter = nn.Conv1d(3 * width, 3 * width, TAPS, groups=3 * width)
        self.filter_fn = HyenaFilter(config)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x_BLD: Tensor, mask_BL1: Tensor | None, before: int, cache: LayerCache | None) -> Tensor:
        """(B, L, D) → (B, L, D), after `before` positions that are in the cache."""
        p_BLC = self.in_proj(x_BLD)
        if mask_BL1 is not None:
            p_BLC = p_BLC * mask_BL1
        x0, x1, v = self._short_conv(p_BLC.transpose(1, 2), cache).chunk(3, dim=1)
        u_BDL = x1 * v
        if mask_BL1 is not None:
            u_BDL = u_BDL * mask_BL1.transpose(1, 2)
        y_BDL = x0 * self._long_conv(u_BDL.float(), before, cache).to(x0.dtype)
        return self.out_proj(y_BDL.transpose(1, 2))

    def _short_conv(self, p_BCL: Tensor, cache: LayerCache | None) -> Tensor:
        tail = None if cache is None else cache.tail
        p_BCL = F.pad(p_BCL, (TAPS - 1, 0)) if tail is None else torch.cat((tail, p_BCL), dim=-1)
        if cache is not None:
            cache.tail = p_BCL[..., 1 - TAPS :]
        return self.short_filter(p_BCL)

    def _long_conv(self, u_BDL: Tensor, before: int, cache: LayerCache | None) -> Tensor:
        """In eval mode transforms are in fp64: a row's numbers do not depend on the length of those beside it."""
        precise = not self.training and u_BDL.device.type != "mps"  # which has no fp64
        dtype, taps, new = torch.float64 if precise else torch.float32, self.filter_fn.taps, u_BDL.shape[-1]
        direct_BDL = self.filter_fn.bias[:, None] * u_BDL
        if cache is None:
            return causal_conv(u_BDL, taps(new), dtype) + direct_BDL
        cache.append(u_BDL, before, self.max_seq_len, taps)
        if new == 1:
            return cache.newest(before + 1) + direct_BDL
        u_BDT, k_DT = cache.inputs[..., : before + new].transpose(0, 1), cache.reversed_taps.flip(-1)[:, : before + new]
        return causal_conv(u_BDT, k_DT, dtype)[..., before:] + direct_BDL


class HyenaMlp(nn.Module):
    """Position-wise D → d_inner → D with tanh-approximated GELU."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.d_model, config.d_inner)
        self.fc2 = nn.Linear(config.d_inner, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) → (B, L, D)."""
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class HyenaBlock(GradientCheckpointingLayer):
    """Hyena operator, then MLP, each after a norm and added to a residual stream in fp32."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        self.norm1 = Norm(config.d_model, eps=config.layer_norm_epsilon)
        self.mixer = HyenaOperator(config)
        self.norm2 = Norm(config.d_model, eps=config.layer_norm_epsilon)
        self.mlp = HyenaMlp(config)

    def forward(self, x_BLD: Tensor, mask_BL1: Tensor | None, before: int, cache: LayerCache | None) -> Tensor:
        """(B, L, D) → (B, L, D), after `before` positions that are in the cache."""
        x_BLD = x_BLD + self.mixer(self.norm1(x_BLD), mask_BL1, before, cache)
        return x_BLD + self.mlp(self.norm2(x_BLD))


class Embeddings(nn.Module):
    """One vector per token."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.d_model)


class Backbone(nn.Module):
    """Embedding, blocks and final norm, under the names that published weights have."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.dropout = nn.Dropout(config.embed_dropout)
        self.layers = nn.ModuleList(HyenaBlock(config) for _ in range(config.n_layer))
        self.ln_f = Norm(config.d_model, eps=config.layer_norm_epsilon)


class HyenaDNAPreTrainedModel(PreTrainedModel):
    """What the three models share."""

    config_class = HyenaDNAConfig
    base_model_prefix = "hyena"
    supports_gradient_checkpointing = True
    _no_split_modules = ["HyenaBlock"]
    _keep_in_fp32_modules_strict = ["filter_fn"]
    _keys_to_ignore_on_load_unexpected = COPIES

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of the tokens' vectors."""
        return self.base_model.backbone.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the table."""
        self.base_model.backbone.embeddings.word_embeddings = value


class HyenaDNAModel(HyenaDNAPreTrainedModel):
    """Hidden states after the final norm."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__(config)
        self.backbone = Backbone(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        past_key_values: HyenaCache | None = None,
        cache: HyenaCache | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: object,
    ) -> BaseModelOutputWithPast | tuple[Tensor, ...]:
        """`input_ids` (B, L), those after the cache's; `attention_mask` (B, T), 0 where there is padding.

        `past_key_values` and `cache` are two names of one argument.

        Raises ValueError when there are more than `max_seq_len` positions: the filter ends there.
        """
        x_BLD = self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds
        cache = past_key_values if cache is None else cache
        if use_cache and cache is None:
            cache = HyenaCache(self.config.n_layer)
        before = 0 if cache is None else cache.length
        after = before + x_BLD.shape[1]
        if after > self.config.max_seq_len:
            raise ValueError(f"{after} positions, but this model's filter ends at {self.config.max_seq_len}")
        mask_BL1 = None if attention_mask is None else attention_mask[:, before - after :, None].to(x_BLD.dtype)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        states = [x_BLD]
        x_BLD = self.backbone.dropout(x_BLD.float())
        for number, block in enumerate(self.backbone.layers):
            x_BLD = block(x_BLD, mask_BL1, before, None if cache is None else cache.layers[number])
            states += [x_BLD] if wanted else []
        if cache is not None:
            cache.length = after
        h_BLD = self.backbone.ln_f(x_BLD)
        output = BaseModelOutputWithPast(h_BLD, cache, (*states[:-1], h_BLD) if wanted else None)
        return output if return_dict is not False else output.to_tuple()


class HyenaDNAForCausalLM(HyenaDNAPreTrainedModel, GenerationMixin):
    """Logits of the token after each position. The head is the embedding."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__(config)
        self.hyena = HyenaDNAModel(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **others: object,
    ) -> CausalLMOutputWithPast | tuple[Tensor, ...]:
        """Logits (B, L, V) in fp32; with `labels` (B, L), -100 where there is none, also the loss in nats per token.

        `labels` are the inputs themselves: they are shifted here.
        """
        found = self.hyena(input_ids, return_dict=True, **others)
        logits = F.linear(found.last_hidden_state.float(), self.get_input_embeddings().weight.float())
        loss = None
        if labels is not None:
            rows = logits.shape[-1]
            loss = self.loss_function(logits, labels, vocab_size=rows, num_items_in_batch=num_items_in_batch)
        output = CausalLMOutputWithPast(loss, logits, cache_in(found), found.hidden_states)
        return output if return_dict is not False else output.to_tuple()

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        past_key_values: HyenaCache | None = None,
        cache: HyenaCache | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        **_: object,
    ) -> dict[str, object]:
        """The inputs of the next step: what the cache has not seen.

        Raises ValueError when a prompt is padded on the right: its continuation would not follow it.
        """
        cache = past_key_values if cache is None else cache
        seen = 0 if cache is None else cache.get_seq_length()
        if not seen and attention_mask is not None and not attention_mask[:, -1].all():
            raise ValueError("pad prompts on the left to generate: tokenizer(..., padding_side='left')")
        inputs = {"cache": cache, "attention_mask": attention_mask, "use_cache": use_cache}
        if inputs_embeds is not None and not seen:
            return {"inputs_embeds": inputs_embeds, **inputs}
        return {"input_ids": input_ids[:, seen:], **inputs}

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        """The cache is not one of keys and values: `forward` makes it."""
        return False


class HyenaDNAForSequenceClassification(HyenaDNAPreTrainedModel):
    """A linear head on the last position that is not padding: the one that knows the whole sequence."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.hyena = HyenaDNAModel(config)
        self.score = nn.Linear(config.d_model, config.num_labels, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **others: object,
    ) -> SequenceClassifierOutputWithPast | tuple[Tensor, ...]:
        """Logits (B, num_labels). Padding is where `attention_mask` is 0, or without one where `pad_token_id` is."""
        found = self.hyena(input_ids, attention_mask, return_dict=True, **others)
        h_BLD = found.last_hidden_state
        keep_BL = attention_mask
        if keep_BL is None and input_ids is not None and self.config.pad_token_id is not None:
            keep_BL = input_ids != self.config.pad_token_id
        last_B = torch.full(h_BLD.shape[:1], h_BLD.shape[1] - 1, device=h_BLD.device)
        if keep_BL is not None:
            last_B = last_B - keep_BL.flip(-1).int().argmax(dim=-1)
        logits = self.score(h_BLD[torch.arange(len(h_BLD), device=h_BLD.device), last_B])
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        output = SequenceClassifierOutputWithPast(loss, logits, None, found.hidden_states)
        return output if return_dict is not False else output.to_tuple()
