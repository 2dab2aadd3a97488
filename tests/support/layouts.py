"""The layouts of published weights, made from the standalone one."""

import re

from torch import Tensor

EMBEDDING = "backbone.embeddings.word_embeddings.weight"
State = dict[str, Tensor]


def training_checkpoint(state: State) -> State:
    """Lightning's prefix, the head stored beside the embedding, and the `.layer.` of gradient checkpointing."""
    inner = {re.sub(r"(layers\.\d+\.(mixer|mlp))\.", r"\1.layer.", key): value for key, value in state.items()}
    return {f"model.{key}": value for key, value in inner.items()} | {"model.lm_head.weight": state[EMBEDDING]}


def hugging_face(state: State) -> State:
    """The port's prefix, its head beside it, and the frequency stored once."""
    return {f"hyena.{key}": value for key, value in state.items() if not re.search(r"filter\.[35]\.freq", key)} | {
        "lm_head.weight": state[EMBEDDING].clone()
    }


def hugging_face_tied(state: State) -> State:
    """The same, with the tied head left out."""
    return {key: value for key, value in hugging_face(state).items() if key != "lm_head.weight"}
