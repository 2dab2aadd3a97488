"""The other side of `bench/data.py`: the reference's HG38Dataset, or a stand-in with the same steps."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

Read = Callable[[int], object]
"""Returns the n-th window as the model's input and target."""

NEEDS = "the reference needs pyfaidx, polars, 'pandas<3' and 'transformers<4.34' beside torch"
INTERVAL = 131_072
"""Bases of the reference's intervals, which it cuts or extends to the context."""
INTERVALS = 256
TOKENS = {letter: number for number, letter in enumerate("ACGTN", 7)}
PAIRS = dict(zip("ACGTacgt", "TGCAtgca", strict=True))


def intervals(lengths: dict[str, int], context: int) -> list[tuple[str, int, int]]:
    """Random intervals from contigs longer than a context; [] if there are none."""
    random = np.random.default_rng(0)
    size = max(INTERVAL, context + 1)
    fitting = {name: length for name, length in lengths.items() if length > context}
    if not fitting:
        return []
    names = random.choice(sorted(fitting), INTERVALS)
    starts = [int(random.integers(0, max(1, fitting[name] - size))) for name in names]
    return [(str(name), s, min(s + size, fitting[name])) for name, s in zip(names, starts, strict=True)]


def reference(path: Path, fasta: Path, places: list[tuple[str, int, int]], context: int) -> Read:
    """The reference's dataset at `path` (with its tokenizer beside it), configured as in its pretraining recipes."""
    try:
        tokenizer_module = _module(path.with_name("hg38_char_tokenizer.py"))
        module = _module(path)
    except ImportError as error:
        raise SystemExit(f"{path}: {error}: {NEEDS}") from None
    renamed, bed = fasta.with_suffix(".renamed.fa"), fasta.with_suffix(".bed")
    renamed.write_bytes(fasta.read_bytes().replace(b">", b">contig_"))  # it cannot find a contig named "20"
    bed.write_text("".join(f"contig_{name}\t{start}\t{end}\ttrain\n" for name, start, end in places))
    tokenizer = tokenizer_module.CharacterTokenizer(["A", "C", "G", "T", "N"], model_max_length=context + 2)
    dataset = module.HG38Dataset(
        "train", bed, renamed, context + 1, tokenizer=tokenizer, tokenizer_name="char", add_eos=False, rc_aug=True
    )
    return lambda number: dataset[number % len(dataset)]


def stand_in(fasta: Path, places: list[tuple[str, int, int]], context: int) -> Read:
    """The same steps without the reference's libraries, and therefore somewhat faster.

    Letters are read from the file, reversed one by one for half the windows, looked up one by one in a dictionary, and
    made into an int64 tensor from which input and target are copied.
    """
    contigs: dict[str, bytes] = {}
    for record in fasta.read_bytes().split(b">")[1:]:
        header, _, lines = record.partition(b"\n")
        contigs[header.split()[0].decode()] = lines.replace(b"\n", b"")

    def read(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        name, start, _ = places[number % len(places)]
        letters = contigs[name][start : start + context + 1].decode()
        if number % 2:
            letters = "".join([PAIRS.get(letter, letter) for letter in reversed(letters)])
        tokens = torch.LongTensor([TOKENS.get(letter, 6) for letter in letters])
        return tokens[:-1].clone(), tokens[1:].clone()

    return read


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SystemExit(f"{path}: no such file: want src/dataloaders/datasets/ of HazyResearch/hyena-dna")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
