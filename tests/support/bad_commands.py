"""Command lines that ask for what cannot be done: every argument of every command against odd paths and numbers."""

import os
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from hdna.checkpoint import RunState
from hdna.config.schema import RunConfig
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome
from support.fuzz_doors import save_checkpoint

Words = list[str]

SECRET = "hunter2"
ODD_INPUTS = (
    "", "missing", "missing/deeper", "empty", "loop", "nowhere", "pipe", "/dev/zero", "/dev/null", "n" * 5000,
    "g.fa/below", "latin", "binary", "deep", "s3://", "s3:///key", "s3:/one", "ftp://host/x",
    f"s3://me:{SECRET}@bucket/x", "file://", "file://host/x", "http:", "two\nlines", "\udcff", "../..", ".",
    "~nobody/x", "x" * 300, "a:b", "=", "[]", "{}", "$HOME", "*.fa",
)  # fmt: skip
"""Paths and URLs: none is a store, a shard set, a run, a recipe, a FASTA or a BED file."""
ODD_OUTPUTS = (
    "", "g.fa", "g.zarr", "set", "nowhere", "loop", "pipe", "/dev/null/x", "/proc/x", "g.fa/below", "n" * 5000, "s3://",
    "ftp://host/x", f"s3://me:{SECRET}@bucket/x", "file://", "/",
)  # fmt: skip
"""Places where nothing can be written, or something stands."""
ODD_NUMBERS = (
    "", "x", "-1", "1e3", "0x10", "0.5", "nan", "inf", "1 2", "--", "9" * 30, "9" * 5000, "-" + "9" * 30, "½", "1,000",
)  # fmt: skip
ODD_VALUES = (
    "", "x", "-1", "nan", ".inf", "1e400", "9" * 30, "[]", "{}", "null", "!!python/name:os.system", "${oc.env:HOME}",
    "&a [*a]", "'", "{a: 1}", "0.5", "yes",
)  # fmt: skip
"""Values of a recipe's key, as YAML; some are valid for some keys."""

_INPUTS = (
    ("prep", "genome", "?", "--out", "new"),
    ("prep", "genome", "g.fa", "?", "--out", "new"),
    ("prep", "fasta", "?", "--out", "new"),
    ("prep", "shards", "?", "--out", "new"),
    ("prep", "shards", "g.zarr", "--out", "new", "--splits", "?"),
    ("prep", "genome", "g.fa", "--out", "new", "--accession", "?"),
    ("prep", "member", "?", "--in", "set"),
    ("prep", "member", "g.fa", "--in", "?"),
    ("prep", "verify", "?"),
    ("prep", "verify", "set", "--store", "?"),
    ("plan", "?"),
    ("train", "?"),
    ("train", "quickstart", "run.url=new", "data.shards=[?]"),
    ("recipes", "?"),
    ("checkpoints", "list", "?"),
    ("checkpoints", "verify", "?"),
    ("checkpoints", "prune", "?"),
    ("runs", "?"),
    ("report", "?"),
    ("report", "run", "?"),
    ("import", "?", "--out", "new"),
    ("init", "?", "--out", "new.yaml"),
    ("adapt", "?", "--from", "run", "--out", "new"),
    ("adapt", "g.fa", "--from", "?", "--out", "new"),
    ("export", "?", "--to", "hf", "--out", "new"),
    ("eval", "report", "?", "--out", "new"),
    ("eval", "task", "?", "--train", "g.fa", "--test", "g.fa", "--out", "new"),
    ("eval", "presets", "?"),
    ("eval", "variants", "?", "--vcf", "v.vcf", "--fasta", "g.zarr", "--out", "new.vcf.gz"),
    ("eval", "variants", "run", "--vcf", "?", "--fasta", "g.zarr", "--out", "new.vcf.gz"),
    ("eval", "variants", "run", "--saturate", "?", "--fasta", "g.zarr", "--out", "new.vcf.gz"),
    ("eval", "variants", "run", "--vcf", "v.vcf", "--fasta", "?", "--out", "new.vcf.gz"),
    ("eval", "embed", "?", "--fasta", "g.fa", "--out", "e.parquet"),
    ("eval", "embed", "run", "--fasta", "?", "--out", "e.parquet"),
    ("eval", "embed", "run", "--bed", "?", "--fasta", "g.fa", "--out", "e.parquet"),
    ("eval", "embed", "run", "--table", "?", "--out", "e.parquet"),
    ("eval", "context", "?", "--out", "new"),
    ("eval", "needle", "?", "--out", "new"),
)
_OUTPUTS = (
    ("prep", "synth", "--bases", "5000", "--out", "?"),
    ("prep", "genome", "g.fa", "--out", "?"),
    ("prep", "fasta", "g.zarr", "--out", "?"),
    ("prep", "shards", "g.zarr", "--window", "500", "--out", "?"),
    ("recipes", "quickstart", "--copy", "?"),
    ("init", "g.fa", "--device", "h200", "--out", "?"),
    ("adapt", "g.fa", "--from", "run", "--out", "?"),
    ("export", "run", "--to", "standalone", "--out", "?"),
    ("eval", "task", "run", "--train", "g.fa", "--test", "g.fa", "--out", "?"),
    ("eval", "variants", "run", "--vcf", "v.vcf", "--fasta", "g.zarr", "--out", "?"),
    ("eval", "embed", "run", "--fasta", "g.fa", "--out", "?"),
)
_NUMBERS = (
    ("prep", "synth", "--out", "new", "--bases", "?"),
    ("prep", "synth", "--out", "new", "--bases", "5000", "--contigs", "?"),
    ("prep", "genome", "g.fa", "--out", "new", "--workers", "?"),
    ("prep", "shards", "g.zarr", "--out", "new", "--window", "?"),
    ("prep", "shards", "g.zarr", "--out", "new", "--workers", "?"),
    ("plan", "quickstart", "--devices", "?"),
    ("init", "g.fa", "--device", "h200", "--out", "new.yaml", "--devices", "?"),
    ("init", "g.fa", "--device", "h100", "--out", "new.yaml", "--hours", "?"),
    ("eval", "task", "run", "--train", "g.fa", "--test", "g.fa", "--out", "new", "--recall-at", "?"),
    ("eval", "task", "run", "--train", "g.fa", "--test", "g.fa", "--out", "new", "--epochs", "?"),
    ("eval", "task", "run", "--train", "g.fa", "--test", "g.fa", "--out", "new", "--learning-rate", "?"),
    ("eval", "variants", "run", "--vcf", "v.vcf", "--fasta", "g.zarr", "--out", "new.vcf.gz", "--context", "?"),
    ("eval", "variants", "run", "--vcf", "v.vcf", "--fasta", "g.zarr", "--out", "new.vcf.gz", "--workers", "?"),
    ("eval", "embed", "run", "--fasta", "g.fa", "--out", "e.parquet", "--layer", "?"),
    ("eval", "embed", "run", "--fasta", "g.fa", "--out", "e.parquet", "--sequence-parallel", "?"),
    ("eval", "context", "run", "--out", "new", "--max-bases", "?"),
    ("eval", "needle", "run", "--out", "new", "--unit", "?"),
    ("eval", "needle", "run", "--out", "new", "--copies", "?"),
)
_MISTYPED = (
    ["nope"], ["prep", "nope"], ["prep", "shards"], ["prep", "genome", "g.fa"], ["--nope"], ["report"], ["train"],
    ["plan", "quickstart", "--device", "moon"], ["recipes", "--copy", "mine.yaml"],
    ["init"], ["init", "g.fa", "--device", "moon"], ["adapt", "--from", "run", "--out", "new"],
    ["adapt", "a=1", "--from", "run", "--out", "new"],
    ["prep", "shards", "g.zarr", "--out", "new", "--splits", "g.bed", "--split-by", "hash"], ["doctor", "a", "b"],
    ["prep", "genome", "g.fa", "--out", "new", "--backend", "moon"], ["checkpoints", "verify"], ["plan"],
    ["prep", "member", "g.fa"], ["prep", "member", "--in", "set"],
    ["eval", "nope"], ["eval", "context", "run"], ["eval", "needle", "run"],
    ["eval", "context", "run", "--out", "new", "--split", "train"],
    ["export", "run", "--out", "new"], ["export", "run", "--to", "moon", "--out", "new"],
    ["export", "run", "--to", "hf"], ["eval", "report", "run"], ["eval", "report", "--out", "new"],
    ["eval", "task", "run", "--out", "new"], ["eval", "task", "run", "--train", "g.fa", "--out", "new"],
    ["eval", "task", "run", "--train", "g.fa", "--test", "g.fa", "--out", "x", "--without", "scratch", "--epochs", "2"],
    ["eval", "task", "run", "--train", "g.fa", "--test", "g.fa", "--out", "new", "--shots", "2"],
    ["eval", "variants", "run", "--fasta", "g.fa", "--out", "new.vcf.gz"],
    ["eval", "variants", "run", "--vcf", "v.vcf", "--saturate", "g.bed", "--fasta", "g.fa", "--out", "new.vcf.gz"],
    ["eval", "variants", "run", "--vcf", "v.vcf", "--fasta", "g.fa", "--out", "new.vcf.gz", "--controls"],
    ["eval"], ["eval", "embed", "run", "--out", "e.parquet"], ["eval", "embed", "run", "--fasta", "g.fa"],
    ["eval", "embed", "run", "--bed", "g.bed", "--out", "e.parquet"],
    ["eval", "embed", "run", "--table", "t.csv", "--fasta", "g.fa", "--out", "e.parquet"],
    ["checkpoints", "prune", "run", "--keep-last", "0"], ["checkpoints", "prune", "run", "--keep-every", "-1"],
    ["plan", "quickstart", "no_equals_sign"], ["plan", "quickstart", "=5"], ["plan", "quickstart", "a.b.c=5"],
    ["plan", "quickstart", "curriculum.9.context_length=5"], ["plan", "quickstart", "curriculum.x=5"],
    ["plan", "quickstart", "model=5"], ["plan", "quickstart", "run.url"], ["plan", "quickstart", "model..d_model=4"],
)  # fmt: skip


def make_place(folder: Path) -> None:
    """A genome, its store and shard set, a run with checkpoints, and odd files."""
    write_genome(folder / "g.fa", 20_000, seed=1)
    encode_genome([str(folder / "g.fa")], str(folder / "g.zarr"))
    write_shards([str(folder / "g.zarr")], str(folder / "set"), window=1_000)
    for step in (1, 2):
        save_checkpoint(folder / "run", RunState(step=step, tokens=step))
    (folder / "v.vcf").write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
    os.mkfifo(folder / "pipe")
    (folder / "nowhere").symlink_to(folder / "missing")
    (folder / "loop").symlink_to("loop")
    (folder / "latin").write_bytes(b"run: {url: caf\xe9}\n")
    (folder / "binary").write_bytes(bytes(range(256)) * 20)
    (folder / "empty").mkdir()
    (folder / "deep").mkdir()
    for name in ("manifest.json", "MANIFEST.json", "metrics.jsonl", "recipe.yaml", "state.json"):
        (folder / "deep" / name).write_text('{"a":' * 100_000)


def bad_commands() -> Iterator[Words]:
    """Each is refused in `make_place`'s folder."""
    for commands, odd in ((_INPUTS, ODD_INPUTS), (_OUTPUTS, ODD_OUTPUTS), (_NUMBERS, ODD_NUMBERS)):
        for words in commands:
            for word in odd:
                yield [part.replace("?", word) for part in words]
    yield from _MISTYPED


def odd_overrides() -> Iterator[Words]:
    """Every key of a recipe with odd values: refused, or a value that the key may have."""
    for key in _keys(RunConfig, ""):
        for value in ODD_VALUES:
            yield ["plan", "quickstart", f"{key}={value}"]


def _keys(section: Any, prefix: str) -> Iterator[str]:  # noqa: ANN401 - a dataclass, or a list of one
    hints = get_type_hints(section)
    for field in fields(section):
        kind, key = hints[field.name], f"{prefix}{field.name}"
        element = getattr(kind, "__args__", (None,))[0]
        if is_dataclass(kind):
            yield from _keys(kind, f"{key}.")
        elif is_dataclass(element):
            yield from _keys(element, f"{key}.0.")
        else:
            yield key
