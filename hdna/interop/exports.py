"""Weights of ours as files for other code: the directory that `transformers` opens, and the reference's own layout."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from torch import Tensor

from hdna.checkpoint import bytes_of
from hdna.config.schema import ModelConfig
from hdna.errors import InputError
from hdna.genome.alphabet import PAD, VOCABULARY
from hdna.interop.geometry import EXTENSION, PORT_SHIFT
from hdna.interop.reference import EMBEDDING, HEAD, HUGGING_FACE, to_reference
from hdna.interop.tokenizer import tokenizer_config, tokenizer_json
from hdna.interop.weights_file import CONFIG, NAMES

WEIGHTS = NAMES[0]
MODELING = "modeling_hyenadna.py"
_ROWS_MULTIPLE = 8
"""The vocabulary's rows are padded to a multiple of it, as published."""
_INNER_LAYERS, _TAPS = 2, 3
"""Of the filter's MLP between its first and last; of the short convolution."""
_CLASSES = {
    "AutoConfig": "HyenaDNAConfig",
    "AutoModel": "HyenaDNAModel",
    "AutoModelForCausalLM": "HyenaDNAForCausalLM",
    "AutoModelForSequenceClassification": "HyenaDNAForSequenceClassification",
}


def hugging_face(parameters: Mapping[str, Tensor], config: ModelConfig) -> dict[str, bytes]:
    """The files of a directory for `transformers`, by name, with the keys and fields of the published port.

    Raises InputError when the port cannot express the model.
    """
    refuse_what_the_port_lacks(config)
    plain = to_reference(parameters, config)
    tensors = {HUGGING_FACE + key: tensor for key, tensor in plain.items()} | {HEAD: plain[EMBEDDING].clone()}
    return {
        WEIGHTS: bytes_of(tensors),
        MODELING: files("hdna.interop").joinpath(MODELING).read_bytes(),
        "tokenizer.json": _json(tokenizer_json()),
        "tokenizer_config.json": _json(tokenizer_config(config.l_max)),
        "generation_config.json": _json({"pad_token_id": PAD}),
        CONFIG: _json(_port_config(config)),
    }


def standalone(parameters: Mapping[str, Tensor], config: ModelConfig) -> dict[str, bytes]:
    """The files for the reference's standalone model, by name: what its strict loading asks for, and its arguments."""
    layer = {
        "_name_": "hyena",
        "emb_dim": config.emb_dim,
        "filter_order": config.filter_order,
        "short_filter_order": _TAPS,
        "l_max": config.l_max,
        "modulate": True,
        "w": config.w,
        "order": config.order,
        "shift": config.shift,
        **_extension(config),
    }
    arguments = {
        "d_model": config.d_model,
        "n_layer": config.n_layer,
        "d_inner": config.mlp_width,
        "vocab_size": len(VOCABULARY),
        "pad_vocab_size_multiple": _ROWS_MULTIPLE,
        "resid_dropout": 0.0,
        "embed_dropout": config.embed_dropout,
        "residual_in_fp32": True,
        "layer": layer,
    }
    return {WEIGHTS: bytes_of(to_reference(parameters, config)), CONFIG: _json(arguments)}


def refuse_what_the_port_lacks(config: ModelConfig) -> None:
    """Raise InputError when the published port, or a directory in its layout, would compute something else."""
    if config.order != 2:
        lack = f"model.order is {config.order}, but the published port computes order 2 alone"
    elif config.shift != PORT_SHIFT:
        lack = f"model.shift is {config.shift}, but the published port always computes with {PORT_SHIFT}"
    else:
        return
    raise InputError(f"--to hf: {lack}: use --to standalone, whose config.json says it")


def _port_config(config: ModelConfig) -> dict[str, Any]:
    """`config.json` of the port, and where `transformers` finds the classes."""
    module = MODELING.removesuffix(".py")
    return {
        "architectures": [_CLASSES["AutoModelForCausalLM"]],
        "auto_map": {auto: f"{module}.{name}" for auto, name in _CLASSES.items()},
        "model_type": "hyenadna",
        "d_model": config.d_model,
        "n_layer": config.n_layer,
        "d_inner": config.mlp_width,
        "vocab_size": len(VOCABULARY),
        "pad_vocab_size_multiple": _ROWS_MULTIPLE,
        "max_seq_len": config.l_max,
        "emb_dim": config.emb_dim,
        "filter_order": config.filter_order,
        "num_inner_mlps": _INNER_LAYERS,
        "activation_freq": config.w,
        "train_freq": True,
        "use_bias": True,
        "hyena_order": config.order,
        "short_filter_order": _TAPS,
        "embed_dropout": config.embed_dropout,
        "hyena_dropout": 0.0,
        "hyena_filter_dropout": 0.0,
        "layer_norm_epsilon": 1e-5,
        "initializer_range": 0.02,
        "pad_token_id": PAD,
        "tie_word_embeddings": False,  # the head is stored
        "torch_dtype": "float32",
        **_extension(config),
    }


def _extension(config: ModelConfig) -> dict[str, Any]:
    return {key: getattr(config, key) for key in EXTENSION} if config.extended_from else {}


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=2).encode() + b"\n"
