"""Translation of published HyenaDNA state dicts to `HyenaDNA`'s names and back.

One table serves both directions. Three layouts are read: training checkpoints (`model.backbone.…`, `.mixer.layer.`,
`.mlp.layer.`), the standalone file (`backbone.…`) and the Hugging Face port (`hyena.backbone.…`); the standalone one is
written. `pos_emb.z`, `pos_emb.t` and `modulation.deltas` are closed forms of the configuration: they are compared, not
read. Partial dicts, such as gradients, can be renamed too.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from hdna.config.schema import ModelConfig
from hdna.errors import InputError
from hdna.genome.alphabet import EMBEDDING_ROWS
from hdna.interop.architecture import looks_like
from hdna.interop.vocabulary import with_all_rows
from hdna.model.filter import decay_rates
from hdna.model.positions import filter_features

HUGGING_FACE = "hyena."
"""Prefix of the Hugging Face port's keys, but the head's."""
EMBEDDING, HEAD = "backbone.embeddings.word_embeddings.weight", "lm_head.weight"

_FILTER = "mixer.filter_fn.implicit_filter"
_LAYER_MODULES = (
    ("hyena_norm", "norm1"),
    ("hyena.in_proj", "mixer.in_proj"),
    ("hyena.filter.layers.0", f"{_FILTER}.0"),
    ("hyena.filter.layers.1", f"{_FILTER}.2"),
    ("hyena.filter.layers.2", f"{_FILTER}.4"),
    ("hyena.out_proj", "mixer.out_proj"),
    ("mlp_norm", "norm2"),
    ("mlp.fc1", "mlp.fc1"),
    ("mlp.fc2", "mlp.fc2"),
)
"""(ours, theirs) for a block's modules with a weight and a bias."""

_LAYER_PAIRS = (
    *((f"{ours}.{leaf}", f"{theirs}.{leaf}") for ours, theirs in _LAYER_MODULES for leaf in ("weight", "bias")),
    ("hyena.short_weight", "mixer.short_filter.weight"),
    ("hyena.short_bias", "mixer.short_filter.bias"),
    ("hyena.long_bias", "mixer.filter_fn.bias"),
    ("hyena.filter.output.weight", f"{_FILTER}.6.weight"),
    *(("hyena.filter.frequency", f"{_FILTER}.{sine}.freq") for sine in (1, 3, 5)),
)
_TOP_PAIRS = (
    ("embedding.weight", EMBEDDING),
    ("backbone.norm.weight", "backbone.ln_f.weight"),
    ("backbone.norm.bias", "backbone.ln_f.bias"),
)
_OURS_IN_LAYER = {theirs: ours for ours, theirs in _LAYER_PAIRS}
_OURS_AT_TOP = {theirs: ours for ours, theirs in _TOP_PAIRS} | {HEAD: "embedding.weight"}
"""Ours by theirs; a stored head is one more copy of the embedding it is tied to."""

_EXTRA_AXIS = {"hyena.short_weight": 1, "hyena.filter.frequency": 0}
"""Axis of length one in their tensor, absent from ours."""

_OUR_LAYER, _THEIR_LAYER = re.compile(r"backbone\.blocks\.(\d+)\.(.+)"), re.compile(r"backbone\.layers\.(\d+)\.(.+)")
_CLOSED_FORMS = ("mixer.filter_fn.pos_emb.z", "mixer.filter_fn.pos_emb.t", "mixer.filter_fn.modulation.deltas")
_DRIFT = 1e-4
"""Largest max|a - b| / max|b| of a stored closed form against ours; rounding across machines stays below 1e-5."""


def from_reference(state_dict: Mapping[str, Tensor], config: ModelConfig | None = None) -> dict[str, Tensor]:
    """Rename a reference state dict, or part of one, for `HyenaDNA.load_state_dict(strict=True)`.

    `config`: what a model of an extended context says of its positions, with which its tables are compared.

    Raises:
        InputError: a key is unknown; copies of one parameter differ; the head is not tied to the embedding; the
            vocabulary cannot have 16 rows; a positional table was trained away from its closed form.

    """
    renamed: dict[str, Tensor] = {}
    for key, tensor in state_dict.items():
        plain = re.sub(r"\.(mixer|mlp)\.layer\.", r".\1.", re.sub(r"^(model|hyena)\.", "", key))
        match = _THEIR_LAYER.fullmatch(plain)
        if match and match[2] in _CLOSED_FORMS:
            _check_closed_form(key, tensor, config or ModelConfig())
            continue
        ours = _OURS_IN_LAYER.get(match[2]) if match else _OURS_AT_TOP.get(plain)
        if ours is None:
            raise InputError(
                f"unknown key {key!r} in reference weights: not a HyenaDNA language model's parameter"
                f"{looks_like(state_dict)}"
            )
        name = f"backbone.blocks.{match[1]}.{ours}" if match else ours
        value = tensor.squeeze(_EXTRA_AXIS[ours]) if ours in _EXTRA_AXIS else tensor
        if name in renamed and not torch.equal(renamed[name], value):
            raise InputError(
                f"{key!r} differs from another copy of the same parameter ({name}); this model shares them"
            )
        renamed[name] = value
    embedding = renamed.get("embedding.weight")
    if embedding is not None and len(embedding) != EMBEDDING_ROWS:
        weight, bias = renamed.get("backbone.norm.weight"), renamed.get("backbone.norm.bias")
        if weight is None or bias is None:
            raise InputError(f"the embedding has {len(embedding)} rows; to add some, the final norm is needed too")
        renamed["embedding.weight"] = with_all_rows(embedding, weight, bias)
    return renamed


def to_reference(state_dict: Mapping[str, Tensor], config: ModelConfig | None = None) -> dict[str, Tensor]:
    """Rename `HyenaDNA`'s state dict, or part of one, into the standalone layout, with its three `freq` copies.

    Args:
        state_dict: by our parameter names.
        config: the model's; if given, the closed-form tables that the reference's strict load needs are added.

    Every tensor of the result has its own storage, so that safetensors can write it.

    Raises:
        InputError: a key is not a parameter of `HyenaDNA`.

    """
    renamed: dict[str, Tensor] = {}
    for key, tensor in state_dict.items():
        match = _OUR_LAYER.fullmatch(key)
        prefix, name = (f"backbone.layers.{match[1]}.", match[2]) if match else ("", key)
        theirs = [their for our, their in (_LAYER_PAIRS if match else _TOP_PAIRS) if our == name]
        if not theirs:
            raise InputError(f"unknown key {key!r}: not a parameter of HyenaDNA")
        value = tensor.unsqueeze(_EXTRA_AXIS[name]) if name in _EXTRA_AXIS else tensor
        renamed |= {prefix + their: value.detach().clone() for their in theirs}
    if config is not None:
        features = filter_features(config)[None]
        tables = (features, features[..., :1], decay_rates((config.order - 1) * config.d_model)[None, None])
        for layer in range(config.n_layer):
            for their, table in zip(_CLOSED_FORMS, tables, strict=True):
                renamed[f"backbone.layers.{layer}.{their}"] = table.clone()
    return renamed


def _check_closed_form(key: str, stored: Tensor, config: ModelConfig) -> None:
    """Refuse a positional table that differs from the one this version computes."""
    if key.endswith("deltas"):
        computed = decay_rates(stored.shape[-1])
    else:
        emb_dim = stored.shape[-1] if key.endswith("z") else 3
        features = filter_features(replace(config, l_max=stored.shape[-2], emb_dim=emb_dim))
        computed = features if key.endswith("z") else features[:, :1]
    difference = (stored.float().cpu() - computed).abs().max() / computed.abs().max()
    if not difference <= _DRIFT:
        raise InputError(
            f"{key!r} differs from its closed form by {difference:.1e} (relative), so it was trained: this version "
            "computes positional features and decay rates in closed form and cannot load such weights"
        )
