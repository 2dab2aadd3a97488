"""A small valid recipe for tests, and the one line that a spoilt one is refused with."""

import pytest

from hdna.config.recipe import parse_recipe
from hdna.errors import InputError

BASE = """\
run: {url: runs/test}
model: {l_max: 1024}
data:
  shards: [work/shards]
curriculum:
  - {context_length: 64, until_tokens: 1e5, micro_batch_size: 4}
  - {context_length: 512, until_tokens: 2e5, micro_batch_size: 1}
optim:
  learning_rate: 3e-4
  global_batch_tokens: 4096
"""


def error(text: str, *overrides: str) -> str:
    """The one line a recipe is refused with."""
    with pytest.raises(InputError) as caught:
        parse_recipe(text, "r.yaml", overrides)
    message = str(caught.value)
    assert "\n" not in message and 20 < len(message) < 400
    return message


def edited(old: str, new: str) -> str:
    assert old in BASE
    return BASE.replace(old, new)
