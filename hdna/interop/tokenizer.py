"""The vocabulary as files that `transformers` makes a tokenizer of, without code of ours.

One letter is one token. As everywhere here, lower case reads as upper case and U as T; any other character is [UNK].
Nothing is put around a sequence: the model was trained on bases alone, and a [SEP] after them would be scored as one.
"""

from typing import Any

from hdna.genome.alphabet import UNK, VOCABULARY, A

_ROLES = {"bos": "[BOS]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]", "pad": "[PAD]", "unk": "[UNK]"}
_READ_AS = {"a": "A", "c": "C", "g": "G", "t": "T", "u": "T", "U": "T", "n": "N"}


def tokenizer_json() -> dict[str, Any]:
    """The content of `tokenizer.json`, as the `tokenizers` library reads it."""
    ids = {token: number for number, token in enumerate(VOCABULARY)}
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    replaced = [{"type": "Replace", "pattern": {"String": old}, "content": new} for old, new in _READ_AS.items()]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": ids[token], "content": token, **special} for token in VOCABULARY[:A]],
        "normalizer": {"type": "Sequence", "normalizers": replaced},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": r"[\s\S]"},  # line ends too
            "behavior": "Isolated",
            "invert": False,
        },
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": ids, "unk_token": VOCABULARY[UNK]},
    }


def tokenizer_config(l_max: int) -> dict[str, Any]:
    """The content of `tokenizer_config.json`; sequences longer than the model's `l_max` are warned about."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": l_max,
        "padding_side": "right",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        **{f"{role}_token": token for role, token in _ROLES.items()},
    }
