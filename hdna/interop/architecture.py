"""What weights that are not HyenaDNA's look like, by the names of their tensors."""

import re
from collections.abc import Iterable

_KNOWN = {
    r"\.mixer\.(\w+\.)*A_log$": "Mamba (Caduceus)",
    r"filter\.(poles|residues|h)$": "StripedHyena (Evo)",
    r"(^|\.)esm\.": "ESM (Nucleotide Transformer)",
    r"(^|\.)(bert|encoder)\.(encoder\.)?layer\.\d+\.attention\.": "BERT (DNABERT)",
    r"(^|\.)layers\.\d+\.self_attn\.": "a Llama-like Transformer",
    r"(^|\.)h\.\d+\.attn\.": "GPT-2",
    r"\.mixer\.Wqkv\.": "an attention layer of the original HyenaDNA code",
    r"(^|\.)decoder\.\d*\.?output_transform\.": "a HyenaDNA fine-tuned for a task: its head is another",
}
"""What some tensor of an architecture is called."""


def looks_like(keys: Iterable[str]) -> str:
    """`: looks like ARCHITECTURE`, or nothing."""
    for key in keys:
        for pattern, name in _KNOWN.items():
            if re.search(pattern, key):
                return f": looks like {name}"
    return ""
