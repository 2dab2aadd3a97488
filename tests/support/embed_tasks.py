"""What runs in other processes in tests of embeddings: ranks that share sequences, and a worker that is lost once."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist  # noqa: TID251 - the ranks of tests

from hdna.config.schema import ModelConfig
from hdna.downstream.embed.embedder import Embedder, Wanted
from hdna.downstream.embed.on_ranks import fill_parts
from hdna.downstream.embed.parts import PartFiles, plan_parts
from hdna.downstream.embed.sequences import Origin
from hdna.downstream.embed.states import embed_slice
from hdna.downstream.subject import load_subject
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


def shared_parts(run: str, fasta: str, folder: Path) -> None:
    """All parts of a FASTA file, of each pooling, in files of rank 0 as an Embedder alone makes them."""
    mesh, cpu = Mesh.of_this_process(dist.get_world_size()), torch.device("cpu")
    told: list[str] = []
    for pool in ("mean", "none"):
        wanted, origin = Wanted(None, pool, "float32"), Origin(fasta=fasta)
        own = folder / f"{pool}-{mesh.rank}"
        own.mkdir()
        subject, sequences = load_subject(run, cpu), origin.open(own, told.append)
        parts = plan_parts(sequences.lengths_N, wanted.rows(sequences.lengths_N), 8 * 4)
        files = PartFiles(folder / f"parts-{pool}", 8, wanted)
        fill_parts(run, wanted, origin, own, parts, files, mesh, cpu, told.append)
        if mesh.is_leader:
            alone = Embedder(subject, wanted).embed([sequences.read(number) for number in range(len(sequences))])
            found = np.concatenate([values for _, values in files.values(parts)])
            np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-6)
    assert told == (["embedding: 1 of 1 parts"] * 2 if mesh.is_leader else [])


def embedder_lost_once(mark: Path, url: str, wanted: Wanted) -> Callable[[bytes], bytes]:
    """An Embedder whose process ends at its first message, if `mark` is not there; then it is."""
    embedder = Embedder.load(url, wanted)

    def answer(message: bytes) -> bytes:
        if not mark.exists():
            mark.touch()
            os._exit(1)
        return embedder(message)

    return answer
