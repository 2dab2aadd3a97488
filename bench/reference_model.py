"""The other side of `bench/model_step.py`: the reference HyenaDNA, loaded from its standalone file by path.

The file is the reference's `standalone_hyenadna.py`; nothing of it is copied. It imports torchvision and transformers
for parts that a language model does not use, so these may be absent.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch.nn.functional as F
from torch import Tensor, nn

from hdna.config.schema import ModelConfig
from hdna.genome.alphabet import EMBEDDING_ROWS

_UNUSED = {
    "transformers.tokenization_utils": ("AddedToken", "PreTrainedTokenizer"),
    "torchvision.ops": ("StochasticDepth",),
}
"""In this order: transformers asks whether there is a torchvision, and would stumble over what stands in for it."""


class ReferenceModel(nn.Module):
    """The reference's backbone with its language model's head, tied to the embedding as in pretraining."""

    def __init__(self, file: Path, config: ModelConfig) -> None:
        super().__init__()
        layer = {
            "l_max": config.l_max,
            "order": config.order,
            "filter_order": config.filter_order,
            "emb_dim": config.emb_dim,
            "w": config.w,
            "shift": config.shift,
        }
        model = _loaded(file).HyenaDNAModel(
            d_model=config.d_model,
            n_layer=config.n_layer,
            d_inner=config.mlp_width,
            vocab_size=EMBEDDING_ROWS,
            layer=layer,
            embed_dropout=config.embed_dropout,
            residual_in_fp32=True,
        )
        self.backbone = model.backbone

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits (B, L, V) of (B, L) ids."""
        return F.linear(self.backbone(input_ids), self.backbone.embeddings.word_embeddings.weight)


def _loaded(file: Path) -> ModuleType:
    for name, names in _UNUSED.items():
        _stand_in(name, names)
    spec = importlib.util.spec_from_file_location("reference_hyenadna", file)
    assert spec and spec.loader, f"{file} is not a Python file"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _stand_in(name: str, names: tuple[str, ...]) -> None:
    """Make `from NAME import ...` work where the package is absent."""
    try:
        importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        sys.modules.setdefault(package, ModuleType(package))
        module = ModuleType(name)
        for each in names:
            setattr(module, each, type(each, (nn.Identity,), {"p": 0.0}))  # a drop path of probability 0
        sys.modules[name] = module
