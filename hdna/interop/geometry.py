"""The geometry of published weights, from the shapes of their tensors.

Shapes: D = d_model, W = MLP width, F = filter_order, P = emb_dim.
"""

from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from torch import Tensor

from hdna.config.schema import ModelConfig
from hdna.errors import InputError
from hdna.model import HyenaDNA

_PUBLISHED = {"d_model": "d_model", "n_layer": "n_layer", "d_inner": "d_inner", "hyena_order": "order"}
"""Keys of a `config.json` that shapes decide as well, and ours: what differs does not belong together."""
EXTENSION = ("extended_from", "filter_positions")
"""Keys of ours in the `config.json` of a model of an extended context. Its tables of positions are stored, so other
code, which does not know these keys, computes the same."""
PORT_SHIFT = 0.05
"""Fixed in the port's code; what the original code computes with is an argument of its layer."""


def model_config(
    renamed: Mapping[str, Tensor], l_max: int | None, published: Mapping[str, Any], shift: float | None
) -> ModelConfig:
    """The model that the tensors, by our names, are the parameters of.

    `l_max`: the length of the stored positional tables, if there are any; else `config.json` says it. `shift`: of the
    modulation, which no tensor says; None: what a `config.json` of ours says, or that of the port.

    Raises InputError when a tensor is missing, or `config.json` says something else.
    """
    first = "backbone.blocks.0."
    missing = [name for name in ("embedding.weight", f"{first}hyena.short_weight") if name not in renamed]
    if missing:
        raise InputError(f"the weights lack {missing[0]}: not a whole language model")
    width = renamed["embedding.weight"].shape[1]
    config = ModelConfig(
        d_model=width,
        n_layer=1 + max(int(name.split(".")[2]) for name in renamed if name.startswith("backbone.blocks.")),
        order=renamed[f"{first}hyena.short_weight"].shape[0] // width - 1,
        l_max=l_max or _stated_l_max(published),
        shift=_stated_shift(published) if shift is None else shift,
        d_inner=renamed[f"{first}mlp.fc1.weight"].shape[0],
        emb_dim=renamed[f"{first}hyena.filter.layers.0.weight"].shape[1],
        filter_order=renamed[f"{first}hyena.filter.layers.0.weight"].shape[0],
    )
    for key, ours in _PUBLISHED.items():
        stated = published.get(key)
        if stated is not None and stated != getattr(config, ours):
            raise InputError(f"config.json says {key} {stated}, but the weights have {getattr(config, ours)}")
    return config


def refuse_misfits(parameters: Mapping[str, Tensor], config: ModelConfig, url: str) -> None:
    """Raise InputError when tensors by our names, from `url`, are not all and only the parameters of this model."""
    expected = {name: parameter.shape for name, parameter in HyenaDNA(config).named_parameters()}
    for name in sorted(expected.keys() ^ parameters.keys()):
        raise InputError(f"{url}: {name} is {'missing' if name in expected else 'one too many'}")
    for name, shape in expected.items():
        if parameters[name].shape != shape:
            found = tuple(parameters[name].shape)
            raise InputError(f"{url}: {name} has shape {found}, but the others make it {tuple(shape)}")
        if not parameters[name].isfinite().all():
            raise InputError(f"{url}: {name} has numbers that are not finite")


def _stated_l_max(published: Mapping[str, Any]) -> int:
    stated = published.get("max_seq_len") or _layer(published).get("l_max")
    if not isinstance(stated, int) or stated < 1:
        raise InputError(
            "neither the weights nor a config.json beside them say l_max, on which the filter depends: "
            "put the published config.json beside the file"
        )
    return stated


def _stated_shift(published: Mapping[str, Any]) -> float:
    stated = _layer(published).get("shift", PORT_SHIFT)
    if isinstance(stated, bool) or not isinstance(stated, int | float):
        raise InputError(f"config.json says shift {stated!r}, which is no number: give --shift")
    return float(stated)


def stated_extension(published: Mapping[str, Any]) -> ModelConfig:
    """A model with what a `config.json` of ours says of an extended context; nothing of any other.

    Raises InputError when it makes no sense.
    """
    stated = {key: value for key, value in {**published, **_layer(published)}.items() if key in EXTENSION}
    before, how = stated.get("extended_from", []), stated.get("filter_positions", ModelConfig.filter_positions)
    if not isinstance(before, list) or not all(type(context) is int and context > 1 for context in before):
        raise InputError(f"config.json says extended_from {before!r}: want the l_max before each extension")
    if before != sorted(set(before)) or how not in get_args(get_type_hints(ModelConfig)["filter_positions"]):
        raise InputError(
            f"config.json says extended_from {before!r} and filter_positions {how!r}, which is no extension"
        )
    return ModelConfig(extended_from=before, filter_positions=how)


def _layer(published: Mapping[str, Any]) -> Mapping[str, Any]:
    layer = published.get("layer")
    return layer if isinstance(layer, Mapping) else {}
