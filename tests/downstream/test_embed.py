"""Embeddings: those that the model has, whatever the batch, the file, the interruption; bad input is one line."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch
import zarr
from support.command_line import hdna
from support.live_bytes import PeakBytes
from support.random_checkpoint import random_checkpoint
from typer.testing import CliRunner

from hdna.cli import app
from hdna.config.schema import ModelConfig
from hdna.downstream.embed import parts
from hdna.downstream.embed.embedder import Embedder, Wanted, batches, padded_length
from hdna.downstream.embed.flow import embed
from hdna.downstream.embed.sequences import Origin
from hdna.downstream.embed.states import hidden_states
from hdna.downstream.embed.work import Work
from hdna.downstream.evidence import find_evidence
from hdna.downstream.subject import Subject, load_subject
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.model import HyenaDNA
from hdna.model.memory import MicroStepShape, forward_bytes

L_MAX = 400
MEAN = Wanted(None, "mean", "float32")
EVERY_BASE = Wanted(None, "none", "float32")
Bytes = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and a genome of records of 1 to L_MAX bases, N and other codes among them."""
    folder = tmp_path_factory.mktemp("embed")
    random_checkpoint(folder / "run", ModelConfig(d_model=12, n_layer=3, l_max=L_MAX, filter_order=8))
    rng = np.random.default_rng(1)
    lengths = [1, 2, 400, 3, 255, 256, 257, 30, 30, 31, 120, 399]
    records = ["".join(rng.choice(list("ACGTacgtNR"), length)) for length in lengths] + ["NNNN"]
    (folder / "g.fa").write_text("".join(f">r{n} x\n{letters}\n" for n, letters in enumerate(records)))
    return folder


@pytest.fixture(scope="module")
def subject(folder: Path) -> Subject:
    return load_subject(str(folder / "run"), torch.device("cpu"))


@pytest.fixture(scope="module")
def records(folder: Path) -> list[Bytes]:
    """The tokens of each."""
    return [alphabet.encode(line.encode()) for line in (folder / "g.fa").read_text().split("\n")[1::2]]


def exact(
    model: HyenaDNA, tokens: Bytes, layer: int | None = None
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The states of one sequence alone, without padding, in float64, by the model's own pass cut off by hooks."""
    double = HyenaDNA(model.config).double().eval()
    double.load_state_dict(model.state_dict())
    seen: list[torch.Tensor] = []
    for block in double.backbone.blocks:
        block.register_forward_hook(lambda _, given, made: seen.extend([given[0], made]))
    with torch.no_grad():
        final = double.hidden(torch.from_numpy(tokens)[None].long())
    states = final if layer is None else [seen[0], *seen[1::2]][layer]
    return states[0].numpy()


def arrays(group: Path) -> dict[str, np.ndarray[Any, Any]]:
    """As plain zarr opens them."""
    folders = [path.parent for path in group.glob("*/zarr.json")]
    return {folder.name: np.asarray(zarr.open_array(folder, mode="r")[:]) for folder in folders}


@pytest.mark.parametrize("layer", [None, 0, 1, 3])
def test_states_of_a_layer_are_the_residual_stream_in_float64(
    subject: Subject, records: list[Bytes], layer: int | None
) -> None:
    for tokens in records[:4]:
        found = Embedder(subject, Wanted(layer, "none", "float32")).embed([tokens])
        np.testing.assert_allclose(found, exact(subject.model, tokens, layer), rtol=1e-4, atol=1e-5)


def test_a_mean_is_over_known_bases_and_over_all_where_none_is_known(subject: Subject, records: list[Bytes]) -> None:
    found = Embedder(subject, MEAN).embed(records)
    for row, tokens in zip(found, records, strict=True):
        known = (tokens >= alphabet.A) & (tokens <= alphabet.T)
        wanted = exact(subject.model, tokens)[known if known.any() else slice(None)].mean(0)
        np.testing.assert_allclose(row, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wanted", [MEAN, EVERY_BASE])
def test_an_embedding_does_not_depend_on_its_batch(subject: Subject, wanted: Wanted) -> None:
    rng = np.random.default_rng(2)
    tokens = [rng.integers(7, 12, length).astype(np.uint8) for length in rng.integers(1, L_MAX + 1, 60)]
    embedder = Embedder(subject, wanted)
    together = embedder.embed(tokens)
    alone = np.concatenate([embedder.embed([own]) for own in tokens])
    assert np.abs(together - alone).max() <= 1e-6
    np.testing.assert_array_equal(embedder.embed(tokens[::-1])[0], embedder.embed(tokens[-1:] + tokens[:-1][::-1])[0])


def test_padding_is_a_function_of_the_length_and_costs_no_larger_transform() -> None:
    for length in range(1, 3000):
        padded = padded_length(length, 10**6)
        assert length <= padded <= max(length + 1, 1.25 * length)
        assert padded_length(padded, 10**6) == padded  # the longest of its FFT size
        assert padded_length(length, length) == length
    assert [padded_length(length, 101, 4) for length in (1, 9, 97, 100)] == [8, 12, 100, 100]
    with pytest.raises(InputError, match="4 ranks cannot share a sequence of 101 bases: at most 100"):
        padded_length(101, 101, 4)
    padded_N = [padded_length(int(length), 900) for length in np.random.default_rng(0).integers(1, 900, 200)]
    found = list(batches(padded_N, 2000))
    assert sorted(number for batch in found for number in batch) == list(range(200))
    for batch in found:
        widths = {padded_N[number] for number in batch}
        assert len(widths) == 1 and (len(batch) == 1 or len(batch) * widths.pop() <= 2000)


def test_parquet_and_zarr_hold_the_same_rows_in_order(folder: Path, subject: Subject, records: list[Bytes]) -> None:
    pooled, every = folder / "pooled", folder / "every"
    for out, pool in ((pooled, "mean"), (every, "none")):
        for ending in ("parquet", "zarr"):
            hdna(
                "eval", "embed", folder / "run", "--fasta", folder / "g.fa", "--pool", pool, "--out", f"{out}.{ending}"
            )
    names, lengths = [f"r{number}" for number in range(len(records))], [len(own) for own in records]
    mean, bases = Embedder(subject, MEAN).embed(records), Embedder(subject, EVERY_BASE).embed(records)

    table = pyarrow.parquet.read_table(f"{pooled}.parquet")
    assert table.column_names == ["name", "length", "embedding"]
    assert str(table.schema.field("embedding").type) == "fixed_size_list<element: float>[12]"
    assert (table["name"].to_pylist(), table["length"].to_pylist()) == (names, lengths)
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), np.float32), mean)
    rows = pyarrow.parquet.read_table(f"{every}.parquet")["embedding"].to_pylist()
    assert [len(row) for row in rows] == lengths
    np.testing.assert_array_equal(np.concatenate([np.array(row, np.float32) for row in rows]), bases)

    found = arrays(Path(f"{pooled}.zarr"))
    assert found["name"].tolist() == names and found["length"].tolist() == lengths
    np.testing.assert_array_equal(found["embedding"], mean)
    found = arrays(Path(f"{every}.zarr"))
    assert found["offsets"].tolist() == np.concatenate([[0], np.cumsum(lengths)]).tolist()
    np.testing.assert_array_equal(found["embedding"], bases)

    (evidence,) = (one for one in find_evidence(str(folder)) if one.kind == "embed")
    assert evidence.subject.checksum == subject.checksum
    assert {"sequences", "bases", "pool", "layer", "dtype", "megabases_per_second", "hours_for_3_gigabases"} <= set(
        evidence.body
    )
    assert (evidence.body["sequences"], evidence.body["bases"], evidence.cost.bases) == (13, sum(lengths), sum(lengths))
    rate, hours = evidence.body["megabases_per_second"], evidence.body["hours_for_3_gigabases"]
    assert hours == pytest.approx(3000 / rate / 3600)
    assert evidence.body["bytes_for_3_gigabases"] == pytest.approx(3e9 * 12 * 4)


def test_intervals_have_names_strands_and_either_spelling_of_a_contig(
    folder: Path, subject: Subject, records: list[Bytes]
) -> None:
    (folder / "i.bed").write_text(
        "track name=x\nchrr2\t10\t60\tpeak\t0\t-\nr2\t10\t60\tpeak\t0\t+\nr4\t0\t255\nr5\t5\t9\t.\t0\t.\n"
    )
    out, said = folder / "i.parquet", list[str]()
    origin = Origin(fasta=str(folder / "g.fa"), bed=str(folder / "i.bed"))
    embed(str(folder / "run"), origin, str(out), MEAN, None, said.append)
    assert said[0].endswith("names contigs in another way: chrr2 is taken for r2")
    table = pyarrow.parquet.read_table(out).to_pydict()
    assert table["name"] == ["peak", "peak", "r4:0-255(+)", "r5:5-9(+)"]
    assert (table["contig"], table["strand"]) == (["r2", "r2", "r4", "r5"], ["-", "+", "+", "+"])
    forward = records[2][10:60]
    wanted = [alphabet.reverse_complement(forward), forward, records[4], records[5][5:9]]
    np.testing.assert_array_equal(np.array(table["embedding"], np.float32), Embedder(subject, MEAN).embed(wanted))


def test_a_table_keeps_its_other_columns(folder: Path, subject: Subject) -> None:
    (folder / "t.csv").write_text("label,sequence,name,note\n1,ACGT,one,\n0,ggg,two,\u00e9\n")
    for ending in ("parquet", "zarr"):
        out = folder / f"t.{ending}"
        hdna("eval", "embed", folder / "run", "--table", folder / "t.csv", "--dtype", "float16", "--out", out)
    table = pyarrow.parquet.read_table(folder / "t.parquet")
    assert table.column_names == ["name", "label", "note", "length", "embedding"]
    assert table["name"].to_pylist() == ["one", "two"] and table["note"].to_pylist() == ["", "é"]
    found = arrays(folder / "t.zarr")
    assert found["note"].tolist() == ["", "é"] and found["embedding"].dtype == np.float16
    wanted = Embedder(subject, MEAN).embed([alphabet.encode(b"ACGT"), alphabet.encode(b"GGG")]).astype(np.float16)
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), np.float16), wanted)
    np.testing.assert_array_equal(found["embedding"], wanted)


class Interrupted(BaseException):
    """Like Ctrl-C."""


@pytest.mark.parametrize("ending", ["parquet", "zarr"])
def test_an_interrupted_command_goes_on(
    folder: Path, subject: Subject, records: list[Bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(parts, "PART_BASES", 300)
    out, whole = tmp_path / f"e.{ending}", tmp_path / f"whole.{ending}"
    answered: list[int] = []

    def answers(limit: int, work: Work) -> Iterator[tuple[int, bytes]]:
        for number, message in work.messages():
            if len(answered) == limit:
                raise Interrupted
            answered.append(number)
            assert not out.exists()
            yield number, Embedder(subject, work.wanted)(message)

    def run(limit: int, work: Work) -> None:
        work.take(answers(limit, work))

    arguments = str(folder / "run"), Origin(fasta=str(folder / "g.fa"))
    made = embed(*arguments, str(whole), EVERY_BASE, None, lambda line: None)
    with pytest.raises(Interrupted):
        embed(*arguments, str(out), EVERY_BASE, partial(run, 3), lambda line: None)
    (left,) = tmp_path.glob(f".e.{ending}.*/parts")
    (left / "part-000001").write_bytes(b"half")
    again = embed(*arguments, str(out), EVERY_BASE, partial(run, 99), lambda line: None)
    assert answered[:4] == [0, 1, 2, 1] and sorted(answered) == [0, 1, 1, *range(2, max(answered) + 1)]
    assert 0 < again.reused_bases < made.bases and not list(tmp_path.glob(".*"))
    for path in (whole, out):
        if ending == "parquet":
            found = np.concatenate(pyarrow.parquet.read_table(path)["embedding"].to_pylist())
        else:
            found = arrays(path)["embedding"]
        np.testing.assert_allclose(found, Embedder(subject, EVERY_BASE).embed(records), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "text", "words", "line"),
    [
        ("t.csv", "sequence\n", "--table t.csv", r"t.csv: empty"),
        ("t.csv", "label\n1\n", "--table t.csv", r"t.csv: no column 'sequence'"),
        ("t.csv", "sequence\nACGT\nAC-T\n", "--table t.csv", r"t.csv:3: letter 3 of the sequence is '-'"),
        ("t.csv", "sequence\nACGé\n", "--table t.csv", r"t.csv:2: letter 4 of the sequence is 'é'"),
        ("t.csv", "sequence,label\n,1\n", "--table t.csv", r"t.csv:2: no sequence"),
        ("t.csv", "sequence,name\nA,x\nC,x\n", "--table t.csv", r"t.csv:3: duplicate name 'x', already at .*t.csv:2"),
        ("t.csv", "sequence,length\nA,x\n", "--table t.csv", r"cannot have a column 'length'"),
        ("t.csv", "sequence,../x\nA,x\n", "--table t.csv", r"cannot have a column '../x'"),
        ("f.fa", ">a\nACGT\n>a\nAC\n", "--fasta f.fa", r"f.fa:3:2: duplicate name 'a'"),
        ("f.fa", f">a\nAC\n>b\n{'A' * 401}\n", "--fasta f.fa", r"f.fa: 'b' has 401 bases, the model's l_max is 400"),
        ("f.bed", "r2\t0\t401\n", "--bed f.bed --fasta g.fa", r"f.bed:1: end 401 is past the end of r2"),
        ("f.bed", "r2\t0\t9\nrr\t0\t9\n", "--bed f.bed --fasta g.fa", r"f.bed:2.*: no contig 'rr'; the nearest"),
        ("f.bed", "r2\t9\t9\n", "--bed f.bed --fasta g.fa", r"f.bed:1: start 9 is not before end 9"),
        ("f.bed", "r2\t0\t9\tx\t0\t*\n", "--bed f.bed --fasta g.fa", r"f.bed:1: strand '\*'"),
        ("f.bed", "r2\t0\n", "--bed f.bed --fasta g.fa", r"f.bed:1: 2 columns: want contig, start and end"),
        ("f.bed", "", "--bed f.bed --fasta g.fa", r"f.bed: empty"),
        ("f.fa", ">a\nA\n", "--fasta f.fa --layer 4", r"--layer 4: the model has 3 layers"),
        ("f.fa", ">a\nA\n", "--fasta f.fa --out e.csv", r"e.csv: want a name that ends in .parquet or .zarr"),
        ("f.fa", ">a\nA\n", "--fasta f.fa --out f.fa/e.parquet", r"f.fa/e.parquet"),
        ("e.parquet", "x", "--fasta g.fa", r"e.parquet: something else already exists"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, words: str, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g.fa").symlink_to(folder / "g.fa")
    (tmp_path / name).write_text(text)
    there = sorted(tmp_path.rglob("*"))
    words = words if "--out" in words else f"{words} --out e.parquet"
    error = CliRunner().invoke(app, ["eval", "embed", str(folder / "run"), *words.split()]).exception
    assert isinstance(error, InputError) and re.search(line, str(error)), error
    assert sorted(tmp_path.rglob("*")) == there


def test_numbers_too_large_for_float16_are_refused(subject: Subject, records: list[Bytes]) -> None:
    large = HyenaDNA(subject.config.model).eval()
    large.load_state_dict(subject.model.state_dict())
    with torch.no_grad():
        large.embedding.weight.fill_(1e5)
    loud = Subject(subject.url, 1, 1, subject.checksum, subject.config, large, subject.device)
    assert np.isfinite(Embedder(loud, Wanted(0, "mean", "float32")).embed(records)).all()
    with pytest.raises(InputError, match="float16 are not all finite: use --dtype float32"):
        Embedder(loud, Wanted(0, "mean", "float16")).embed(records)


@pytest.mark.parametrize(("width", "order", "batch", "length"), [(16, 2, 1, 2048), (16, 2, 16, 64), (24, 3, 2, 1024)])
def test_a_pass_takes_the_memory_that_is_stated(width: int, order: int, batch: int, length: int) -> None:
    config = ModelConfig(d_model=width, n_layer=2, order=order, l_max=length, filter_order=8)
    model, ids_BL = HyenaDNA(config).eval().requires_grad_(False), torch.full((batch, length), alphabet.A)
    with torch.no_grad(), PeakBytes() as counted:
        hidden_states(model, ids_BL, None)
    only_of_several_tiles = 2 * batch * length * width * 4  # a tile's norm and its result
    assert forward_bytes(config, MicroStepShape(batch, length)) == counted.peak + only_of_several_tiles
