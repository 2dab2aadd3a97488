"""The objects that hdna reads, small and sound, with readers that return what they mean; and how to reseal a change."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch

from hdna.checkpoint import (
    RunState,
    checkpoint_url,
    commit_checkpoint,
    load_checkpoint,
    newest_intact,
    write_checkpoint_part,
)
from hdna.config import RunConfig, load_recipe
from hdna.data.cache import ShardCache
from hdna.data.order import Crops
from hdna.data.stream import WindowReader
from hdna.errors import InputError
from hdna.genome.interval import Interval
from hdna.genome.shard import SPLITS
from hdna.genome.shard_set import load_shard_set
from hdna.genome.store import GenomeStore
from hdna.train.checkpointing import refuse_unfit
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from support.fuzzing import JSON, Door
from support.manifests import seal, write_listed

_GENOME_BASES = 6_000


def store_door(folder: Path) -> Door:
    """A genome store of two contigs with N, ambiguity codes and soft-masked stretches."""
    rng = np.random.default_rng(3)
    letters = rng.choice(np.frombuffer(b"ACGT", np.uint8), _GENOME_BASES)
    letters[900:1_100], letters[890], letters[3_000:4_000] = ord("N"), ord("R"), letters[3_000:4_000] | 0x20
    text = b">one first\n" + letters[:3_500].tobytes() + b"\n>two\n" + letters[3_500:].tobytes() + b"\n"
    (folder / "g.fa").write_bytes(text)
    encode_genome([str(folder / "g.fa")], str(folder / "g.zarr"))

    def read() -> object:
        store = GenomeStore.open(str(folder / "g.zarr"))
        contigs = [store.read_ascii(Interval(name, 0, length)) for name, length in store.contigs.items()]
        tokens = [store.read(Interval(name, 0, length)).tobytes() for name, length in store.contigs.items()]
        return store.assembly, store.headers, contigs, tokens

    return Door("genome store", folder / "g.zarr", read, _is_sound_genome)


def _is_sound_genome(meaning: object) -> bool:
    """Letters of the alphabet, as many of each class as there were, and their tokens."""
    _, headers, contigs, tokens = cast(tuple[str, list[str], list[bytes], list[bytes]], meaning)
    upper = b"".join(contigs).upper()
    known, unknown = sum(map(upper.count, b"ACGT")), sum(map(upper.count, b"URYSWKMBDHV"))
    masked = sum(map(str.islower, b"".join(contigs).decode()))
    return (
        (known, upper.count(b"N"), unknown, masked) == (_GENOME_BASES - 201, 200, 1, 1000)
        and sum(map(len, contigs)) == _GENOME_BASES
        and set(b"".join(tokens)) <= set(range(6, 12))
        and list(map(len, contigs)) == list(map(len, tokens))
        and all(headers)
    )


def shards_door(folder: Path, store: Path) -> Door:
    """A shard set of that store; every window is read, with its mask, by training's reader and by a stock one."""
    write_shards([str(store)], str(folder / "set"), window=500)

    def read() -> object:
        shard_set = load_shard_set(str(folder / "set"))
        meaning = []
        for split in SPLITS:
            reader = WindowReader([shard_set], split, ShardCache(folder / "cache"))
            samples = [sample for shard in shard_set.shards if shard.split == split for sample in shard.samples]
            for number, sample in enumerate(samples):
                bases = reader.bases(number)
                crops = Crops(np.array([number]), np.array([0]), np.array([False]))
                tokens, mask = reader.read_batch(crops, bases)
                place = (split, sample.assembly, sample.contig, sample.start, sample.end)
                meaning.append((place, tokens.tobytes(), None if mask is None else mask.tobytes()))
        return meaning, [_as_others_read(folder / "set" / shard.url) for shard in shard_set.shards]

    return Door("shard set", folder / "set", read)


def _as_others_read(path: Path) -> object:
    """A shard's members as any program for tars and arrays would find them."""
    with tarfile.open(path) as tar:
        members = [(info.name, content.read()) for info in tar if (content := tar.extractfile(info))]
    arrays = [
        np.load(io.BytesIO(data)) if name.endswith(".npy") else np.frombuffer(data, np.uint8) for name, data in members
    ]
    return [(name, array.dtype, array.tobytes()) for (name, _), array in zip(members, arrays, strict=True)]


def checkpoint_door(folder: Path) -> Door:
    """A run's checkpoint in two parts; read as a resuming run reads it."""
    config, data = load_recipe("quickstart", [f"run.url={folder}/run"]), {"0": "ab" * 32}
    batch = config.optim.global_batch_tokens
    for step in (1, 2):
        save_checkpoint(folder / "run", RunState(step, step * batch, 0, step, 0, config.run.seed, "recipe", data))
    url = checkpoint_url(str(folder / "run"), 2, 0)
    return Door("checkpoint", Path(url), lambda: _resumed(url, config, data))


def run_door(folder: Path) -> Door:
    """The same run as a whole: whatever happens to the newest checkpoint, one of the two must be taken."""
    urls = [checkpoint_url(str(folder / "run"), step, 0) for step in (1, 2)]
    sound = {url: load_checkpoint(url).tensors["parameters"]["a"].tolist() for url in urls}

    def read() -> object:
        ref, passed_over = newest_intact(str(folder / "run"))
        assert ref is not None
        assert load_checkpoint(ref.url).tensors["parameters"]["a"].tolist() == sound[ref.url]
        if ref.url != urls[1]:
            raise InputError(f"passed over: {passed_over[0]}")
        return "the newest"

    return Door("resume from the newest", Path(urls[1]), read)


def save_checkpoint(run: Path, state: RunState) -> None:
    """Two parts, with parameters that name their step."""
    url = checkpoint_url(str(run), state.step, 0)
    parts = [
        write_checkpoint_part(url, part, 2, {f"{kind}.{name}": torch.full((3, 4), float(state.step)) + part for kind in
                                             ("parameters", "exp_avg", "exp_avg_sq")})
        for part, name in enumerate("ab")
    ]  # fmt: skip
    commit_checkpoint(str(run), state, 0, parts)


def _resumed(url: str, config: RunConfig, data: dict[str, str]) -> object:
    saved = load_checkpoint(url)
    refuse_unfit(saved, config, data)
    tensors = {f"{kind}.{name}": t.tolist() for kind, group in saved.tensors.items() for name, t in group.items()}
    state = saved.state
    return tensors, state.step, state.tokens, state.updates, state.skipped, state.seed, state.data


def write_resealed(manifest: Path) -> Callable[[Path, JSON], None]:
    """A writer for the manifest, or for a JSON document that it lists: afterwards every checksum fits."""

    def write(path: Path, document: JSON) -> None:
        if path == manifest:
            seal(document)
            path.write_text(json.dumps(document))
        else:
            write_listed(manifest, path.relative_to(manifest.parent).as_posix(), json.dumps(document).encode())

    return write
