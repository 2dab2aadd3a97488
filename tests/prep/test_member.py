"""`hdna prep member`: planted homologs are found, and nothing else; only the train split counts."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from support.command_line import hdna
from support.files import flip_bit
from support.homologs import fasta, random_letters, relative, reverse_complement
from typer.testing import CliRunner

from hdna.cli import app
from hdna.errors import InputError
from hdna.genome.shard_set import load_shard_set
from hdna_prep.encode import encode_genome
from hdna_prep.member import BANDS, Membership, matches, membership
from hdna_prep.query import read_query
from hdna_prep.shards import write_shards
from hdna_prep.train_split import train_batches

DATA = Path(__file__).parents[3] / "shared" / "data"
IDENTITIES = (1.0, 0.99, 0.97, 0.95, 0.90, 0.80)
HOMOLOG = 60_000
K = 21


def shard_set(
    folder: Path, name: str, contigs: dict[str, bytes], splits: str = "", accession: str | None = None
) -> str:
    """A set of one genome, all train or as `splits` says, in windows of 50,000 bases."""
    (folder / f"{name}.fa").write_bytes(fasta(contigs))
    (folder / f"{name}.bed").write_text(splits or "".join(f"{c}\t0\t{len(t)}\ttrain\n" for c, t in contigs.items()))
    encode_genome([str(folder / f"{name}.fa")], str(folder / f"{name}.zarr"), accession=accession)
    write_shards([str(folder / f"{name}.zarr")], str(folder / name), str(folder / f"{name}.bed"), window=50_000)
    return str(folder / name)


def compared(folder: Path, contigs: dict[str, bytes], *sets: str) -> Membership:
    (folder / "query.fa").write_bytes(fasta(contigs))
    return membership(str(folder / "query.fa"), [load_shard_set(url) for url in sets])


def shares(found: Membership) -> dict[str, tuple[float, ...]]:
    """Of each contig, the share found at each of BANDS."""
    return {contig.name: tuple(bases / contig.known for bases in contig.found) for contig in found.contigs}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes], str]:
    """A genome of contigs that each have a relative of known identity in the train split, and one that has none.

    The relatives have substitutions; those named "indels" one base inserted or lost for every four substituted. Every
    second one is on the other strand. A third of the train genome is soft-masked, as a third of each relative.
    """
    folder = tmp_path_factory.mktemp("planted")
    rng = np.random.default_rng(1)
    query: dict[str, bytes] = {"unrelated": random_letters(rng, 300_000)}
    train = [random_letters(rng, 200_000)]
    for number, (identity, kind) in enumerate((i, k) for i in IDENTITIES for k in ("", " indels")):
        name = f"{identity:.2f}{kind.replace(' ', '-')}"
        query[name] = random_letters(rng, HOMOLOG)
        indels = (1 - identity) / 5 if kind else 0.0
        copy = relative(rng, query[name], identity + indels, indels)
        copy = copy[: HOMOLOG // 3].lower() + copy[HOMOLOG // 3 :]
        train += [reverse_complement(copy) if number % 2 else copy, random_letters(rng, 10_000 + number)]
    return folder, query, shard_set(folder, "train", {"chr1": b"".join(train)})


def test_homologs_are_found_by_identity(planted: tuple[Path, dict[str, bytes], str]) -> None:
    """At 95 % and above nearly all; at 80 % and without a homolog nothing; 90 % is where finding ends."""
    folder, query, train = planted
    found = shares(compared(folder, query, train))
    for name, share in found.items():
        identity = float(name[:4]) if name != "unrelated" else 0.0
        if identity >= 0.95:
            assert share[-1] >= 0.95, name
        if identity < 0.85:
            assert share[-1] == 0, name
    assert found["1.00"] == (1.0, 1.0, 1.0)
    assert found["0.99"][1] == found["0.99-indels"][1] == 1.0
    assert found["0.97"][0] < 0.05 and found["0.97"][1] > 0.8
    assert 0.3 < found["0.90"][2] < 0.9


def test_shares_are_those_of_all_words_counted_by_hand(planted: tuple[Path, dict[str, bytes], str]) -> None:
    """Without a sample: of each piece of 1,000 bases, its 21-letter words that the train text has on either strand."""
    folder, query, train = planted
    text = b"".join((folder / "train.fa").read_bytes().split(b"\n")[1:]).upper()
    words = {text[i : i + K] for i in range(len(text) - K + 1)}
    expected = {}
    for name in ("0.97", "0.95-indels", "unrelated"):
        identity = []
        for start in range(0, len(query[name]), 1000):
            piece = query[name][start : start + 1000 + K - 1]
            mine = {piece[i : i + K] for i in range(len(piece) - K + 1)}
            there = sum(word in words or reverse_complement(word) in words for word in mine)
            identity.append((there / len(mine)) ** (1 / K))
        expected[name] = tuple(float(np.mean(np.array(identity) >= band)) for band in BANDS)
    found = shares(compared(folder, query, train))
    for name, share in expected.items():
        # Of 60 pieces, those near the end of a band fall on either side of it by the sample.
        assert np.abs(np.array(found[name]) - share).max() < 0.2, name
        assert abs(found[name][-1] - share[-1]) < 0.02, name


def test_only_the_train_split_counts(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    genome = {name: random_letters(rng, 60_000) for name in ("a", "b", "c", "d")}
    splits = "a\t0\t60000\ttrain\nb\t0\t60000\tvalid\nc\t0\t60000\ttest\nd\t0\t30000\ttrain\n"
    found = compared(tmp_path, genome, shard_set(tmp_path, "set", genome, splits))
    assert shares(found) == {"a": (1, 1, 1), "b": (0, 0, 0), "c": (0, 0, 0), "d": (0.5, 0.5, 0.5)}
    assert found.train_bases == 90_000
    assert found.whole.found == (90_000, 90_000, 90_000)


def test_unknown_letters_and_short_repeats_are_not_compared(tmp_path: Path) -> None:
    """They would be found everywhere: any genome has (AC)n."""
    rng = np.random.default_rng(3)
    short = [(random_letters(rng, 2 + number % 5) * 500)[:1000] for number in range(100)]
    repeats = {"n": b"N" * 5_000, "short": b"".join(short), "tiny": b"ACGTTGCA"}
    half = {"half": b"".join(random_letters(rng, 500) + unit[:500] for unit in short)}
    train = shard_set(tmp_path, "set", {"x": random_letters(rng, 50_000) + b"".join(short)})
    found = compared(tmp_path, repeats | half, train)
    assert [contig.compared for contig in found.contigs] == [0, 0, 0, 100_000]
    assert found.whole.found == (0, 0, 0)
    assert found.whole.known == 100_000 + 8 + 100_000


def test_a_genome_without_a_kmer_is_answered(tmp_path: Path) -> None:
    found = compared(tmp_path, {"tiny": b"ACGT"}, shard_set(tmp_path, "set", {"x": b"ACGGT" * 20_000}))
    assert (found.whole.known, found.whole.compared, found.whole.found) == (4, 0, (0, 0, 0))


def test_contigs_of_any_length_are_cut_the_same_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    genome = {f"c{n}": random_letters(rng, n) for n in (1, 499, 999, 1_499, 1_500, 2_500, 7_999, 8_020, 8_021, 30_400)}
    train = shard_set(tmp_path, "set", {"x": b"".join(text + b"N" for text in genome.values())})
    whole = compared(tmp_path, genome, train)
    read = read_query(str(tmp_path / "query.fa"), lambda count: None)
    monkeypatch.setattr("hdna_prep.query._BLOCK", 8_000)
    assert compared(tmp_path, genome, train) == whole
    again = read_query(str(tmp_path / "query.fa"), lambda count: None)
    assert again.kmers.tolist() == read.kmers.tolist() and again.sizes.tolist() == read.sizes.tolist()
    assert [contig.known for contig in whole.contigs] == [len(text) for text in genome.values()]
    assert all(contig.found[0] == contig.known for contig in whole.contigs if contig.bases > 900)


def test_the_nearest_assembly_is_named_and_two_do_not_add_up(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    text = {"q": random_letters(rng, 60_000)}
    far = [relative(rng, text["q"], 0.92) for _ in range(5)]
    sets = [shard_set(tmp_path, f"far{i}", {"x": copy}) for i, copy in enumerate(far)]
    apart = compared(tmp_path, text, *sets)
    assert apart.whole.found[1] < 6_000, "five at 92 % have as many of its k-mers as one at 97.7 %"
    near = shard_set(tmp_path, "near", {"y": relative(rng, text["q"], 0.98)}, accession="GCF_000002985.6")
    nearest = compared(tmp_path, text, *sets, near).contigs[0].nearest
    assert nearest is not None
    assert (nearest.shards, nearest.assembly, nearest.accession) == (near, "near", "GCF_000002985.6")


def test_very_short_windows_count_for_their_own_assembly(tmp_path: Path) -> None:
    """Of 22 bases, two k-mers each; a set of both assemblies has them in turns. Then one of each is as it was alone."""
    rng = np.random.default_rng(8)
    for name in ("one", "two"):
        (tmp_path / f"{name}.fa").write_bytes(fasta({name: random_letters(rng, 3_000)}))
        (tmp_path / f"{name}.bed").write_text(f"{name}\t0\t3000\ttrain\n")
        encode_genome([str(tmp_path / f"{name}.fa")], str(tmp_path / f"{name}.zarr"))
        write_shards([str(tmp_path / f"{name}.zarr")], str(tmp_path / name), str(tmp_path / f"{name}.bed"), window=21)
    (tmp_path / "both.bed").write_text("one\t0\t3000\ttrain\ntwo\t0\t3000\ttrain\n")
    stores = [str(tmp_path / f"{name}.zarr") for name in ("one", "two")]
    write_shards(stores, str(tmp_path / "both"), str(tmp_path / "both.bed"), window=21)
    query = read_query(str(tmp_path / "one.fa"), lambda count: None)
    hits = {}
    for name in ("one", "two", "both"):
        for batch in train_batches(load_shard_set(str(tmp_path / name)), lambda count: None):
            hits[name] = {assembly: sorted(set(found.tolist())) for assembly, found in matches(query, batch)}
    assert hits["two"] == {} and len(hits["one"]["one"]) > 5
    assert hits["both"] == hits["one"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run's recipe that names two sets, their genomes, and a query that has a contig of one."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(6)
    one, two = random_letters(rng, 60_000), random_letters(rng, 60_000)
    sets = [
        shard_set(folder, "yeast", {"chrI": one}, accession="GCF_000146045.2"),
        shard_set(folder, "worm", {"chrII": two}),
    ]
    (folder / "run").mkdir()
    recipe = {
        "run": {"url": "x", "init_from": "s3://b/earlier"},
        "data": {"shards": sets},
        "model": {"d_model": 16, "n_layer": 1, "l_max": 1024},
    }
    stage = {"context_length": 1024, "until_tokens": 10_000, "micro_batch_size": 1}
    optim = {"global_batch_tokens": 1024}
    text = json.dumps({**recipe, "curriculum": [stage], "optim": optim})
    (folder / "run" / "recipe.yaml").write_text(text)
    contigs = {"I": one.lower(), "part": two[:30_000] + random_letters(rng, 30_000), "none": random_letters(rng, 9_000)}
    (folder / "q.fa").write_bytes(fasta(contigs))
    return folder


def test_a_run_is_asked_about_all_its_sets(run: Path) -> None:
    text = hdna("prep", "member", run / "q.fa", "--in", run / "run")
    assert "129,000 bases in 3 contigs" in text and "120,000 bases in the train split" in text
    rows = {words[0]: words for line in text.splitlines() if (words := re.split(r"  +", line.strip()))}
    assert "The run began from s3://b/earlier: what that was trained on before is not in this answer." in text
    assert rows[">= 99%"] == [">= 99%", "90,000", "69.77%"]
    assert rows["not found"] == ["not found", "39,000", "30.23%"]
    assert rows["I"] == ["I", "60,000", "100.00%", "100.00%", "100.00%", "same letters as chrI of yeast"]
    assert rows["part"][2:] == ["50.00%", "50.00%", "50.00%", f"worm in {run / 'worm'}"]
    assert rows["none"][2:] == ["0.00%", "0.00%", "0.00%", "-"]


def test_a_shard_set_is_asked_about_itself(run: Path) -> None:
    text = hdna("prep", "member", run / "q.fa", "--in", run / "worm")
    assert "60,000 bases in the train split" in text
    assert re.search(r"part +60,000 +50.00% +50.00% +50.00% +worm\n", text)


def test_of_many_contigs_those_with_most_are_shown(run: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    known = (run / "worm.fa").read_bytes().split(b"\n")[1]
    contigs = {f"x{number}": random_letters(rng, 1_000) for number in range(40)} | {"last\x1b[2J": known[:5_000]}
    (tmp_path / "q.fa").write_bytes(fasta(contigs))
    text = hdna("prep", "member", tmp_path / "q.fa", "--in", run / "worm")
    assert "and 11 more contigs, of which less is found" in text
    assert re.search(r"last\\x1b\[2J +5,000 +100.00%", text), "and no name reaches a terminal as an order"


@pytest.mark.parametrize(
    ("fasta_name", "within", "message"),
    [
        ("missing.fa", "worm", "missing.fa: no such file"),
        ("worm.bed", "worm", "worm.bed:1:1"),
        ("q.fa", "missing", "missing: neither a shard set nor a run"),
        ("q.fa", "worm.zarr", "not the manifest of a shard set"),
        ("q.fa", "empty", "neither a shard set nor a run: it has neither manifest.json nor recipe.yaml"),
    ],
)
def test_what_cannot_be_compared_is_refused(fasta_name: str, within: str, message: str, run: Path) -> None:
    (run / "empty").mkdir(exist_ok=True)
    result = CliRunner().invoke(app, ["prep", "member", str(run / fasta_name), "--in", str(run / within)])
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)


def test_a_damaged_shard_is_refused(run: Path, tmp_path: Path) -> None:
    train = shard_set(tmp_path, "set", {"x": b"ACGGT" * 20_000})
    flip_bit(Path(train, "train-000000.tar"))
    with pytest.raises(InputError, match=r"train-000000\.tar does not have the bytes and sha256 its manifest says"):
        membership(str(run / "q.fa"), [load_shard_set(train)])
    Path(train, "train-000000.tar").unlink()
    with pytest.raises(InputError, match=r"train-000000\.tar is missing"):
        membership(str(run / "q.fa"), [load_shard_set(train)])


def test_species_apart_share_next_to_nothing(tmp_path: Path) -> None:
    """Real DNA: yeast in a training set of worm, and worm in one of yeast."""
    yeast, worm = DATA / "yeast_chrIV" / "sacCer3.fa", DATA / "celegans_1Mb" / "ce.fa"
    if not yeast.exists():
        pytest.skip(f"{yeast} is not here")
    for train, query in ((yeast, worm), (worm, yeast)):
        encode_genome([str(train)], str(tmp_path / f"{train.stem}.zarr"))
        write_shards([str(tmp_path / f"{train.stem}.zarr")], str(tmp_path / train.stem))
        found = membership(str(query), [load_shard_set(str(tmp_path / train.stem))])
        assert found.whole.found[-1] < 0.005 * found.whole.known
