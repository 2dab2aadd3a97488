"""What runs in other processes in tests of embeddings: ranks that share sequences, and a worker that is lost once."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist  # noqa: TID251 - the ranks of tests

from hdna.config.schema import ModelConfig
from hdna.downstream.embed.embedder import Embedder, Wanted
from hdna.downstream.embed.states import embed_slice
from hdna.genome import alphabet
from hdna.model import HyenaDNA
from hdna.parallel import Mesh, shard_sequence


def shared_sequences() -> None:
    """Slices of padded sequences have the embeddings of the whole, in every layer, by either convolution."""
    mesh, alone = Mesh.of_this_process(dist.get_world_size()), Mesh(0, 1)
    length = 20 * mesh.world_size
    torch.manual_seed(0)
    model = HyenaDNA(ModelConfig(d_model=6, n_layer=2, order=3, l_max=length, filter_order=8)).eval()
    tokens_BL = torch.randint(alphabet.A, alphabet.N + 1, (3, length), dtype=torch.uint8)
    lengths_B = torch.tensor([length, length // 2, 1])
    for row, own in zip(tokens_BL, lengths_B, strict=True):
        row[own:] = alphabet.PAD
    tokens_BL[2, 0] = alphabet.N  # no known base
    for layer in (None, 0, 1):
        shard_sequence(model, alone)
        mean_BD = embed_slice(model, alone, tokens_BL, lengths_B, layer, "mean")
        states_BLD = embed_slice(model, alone, tokens_BL, lengths_B, layer, "none")
        for long_conv in ("all_to_all", "distributed_fft"):
            shard_sequence(model, mesh, long_conv)
            found = embed_slice(model, mesh, tokens_BL, lengths_B, layer, "mean")
            torch.testing.assert_close(found, mean_BD, rtol=1e-5, atol=1e-6)
            slices = embed_slice(model, mesh, tokens_BL, lengths_B, layer, "none")
            torch.testing.assert_close(slices, states_BLD[:, mesh.slice_of(length)], rtol=1e-5, atol=1e-6)


def embedder_lost_once(mark: Path, url: str, wanted: Wanted) -> Callable[[bytes], bytes]:
    """An Embedder whose process ends at its first message, if `mark` is not there; then it is."""
    embedder = Embedder.load(url, wanted)

    def answer(message: bytes) -> bytes:
        if not mark.exists():
            mark.touch()
            os._exit(1)
        return embedder(message)

    return answer
