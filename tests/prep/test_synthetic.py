"""The synthetic genome: reproducible, with the structure it promises at short and at long range."""

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from hdna.errors import InputError
from hdna_prep.synthetic import GenomeSpec, write_genome

BASES = 1_000_000


def letters_of(path: Path) -> npt.NDArray[np.uint8]:
    data = path.read_bytes()
    lines = (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()
    return np.frombuffer(b"".join(line for line in lines if line[:1] != b">"), np.uint8)


def codes_of(path: Path) -> npt.NDArray[np.int64]:
    """0..3 of the known bases, end to end."""
    upper = letters_of(path) & 0xDF
    codes: npt.NDArray[np.int64] = np.searchsorted(np.frombuffer(b"ACGT", np.uint8), upper[upper != ord("N")])
    return codes


def bits_per_base(train: npt.NDArray[np.int64], held_out: npt.NDArray[np.int64], order: int) -> float:
    """Cross-entropy on `held_out` of a Markov model counted on `train` (one added to each count)."""

    def words(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        count = codes.size - order
        return sum((codes[i : i + count] * 4 ** (order - i) for i in range(order + 1)), np.zeros(count, np.int64))

    counts = np.bincount(words(train), minlength=4 ** (order + 1)).reshape(-1, 4) + 1.0
    chance = (counts / counts.sum(1, keepdims=True)).reshape(-1)
    return float(-np.log2(chance[words(held_out)]).mean())


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synth") / "g.fa"
    write_genome(path, BASES, contigs=2, seed=7)
    return path


def test_same_seed_same_bytes_other_seed_other_bases(genome: Path, tmp_path: Path) -> None:
    for name, seed in (("a.fa", 7), ("b.fa", 8), ("c.fa.gz", 7), ("d.fa.gz", 7)):
        write_genome(tmp_path / name, BASES, contigs=2, seed=seed)
    assert (tmp_path / "a.fa").read_bytes() == genome.read_bytes()
    assert (tmp_path / "b.fa").read_bytes() != genome.read_bytes()
    assert gzip.decompress((tmp_path / "c.fa.gz").read_bytes()) == genome.read_bytes()
    assert (tmp_path / "c.fa.gz").read_bytes() == (tmp_path / "d.fa.gz").read_bytes()


def test_contigs_are_equally_long_with_n_at_both_ends_alone(genome: Path) -> None:
    records = genome.read_text().split(">")[1:]
    assert [record.split()[0] for record in records] == ["chr1", "chr2"]
    for record in records:
        sequence = record.split("\n", 1)[1].replace("\n", "")
        assert len(sequence) == BASES // 2
        inside = sequence.strip("N")
        assert "N" not in inside.upper()
        assert sequence.startswith("N" * 1000)
        assert sequence.endswith("N" * 1000)


def test_a_markov_model_beats_composition_clearly(genome: Path) -> None:
    """Order-5 well below order-0, which stays near the 2 bits of even letters."""
    codes = codes_of(genome)
    train, held_out = np.split(codes, [codes.size * 8 // 10])
    order_0 = bits_per_base(train, held_out, 0)
    order_5 = bits_per_base(train, held_out, 5)
    assert 1.97 < order_0 <= 2.0
    assert 0.05 < order_0 - order_5 < 0.15
    assert bits_per_base(train, held_out, 2) > order_5


def test_both_strands_read_alike(genome: Path) -> None:
    """Chargaff's second rule, for words of four: as often as their reverse complements, to within a few per cent."""
    codes = codes_of(genome)

    def words(text: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.bincount(text[:-3] * 64 + text[1:-2] * 16 + text[2:-1] * 4 + text[3:], minlength=256)

    one, other = words(codes), words(3 - codes[::-1])
    assert np.abs(one - other).max() / one.mean() < 0.15


def test_cpg_is_depleted_and_gc_drifts(genome: Path) -> None:
    codes = codes_of(genome)
    c_share, g_share = (codes == 1).mean(), (codes == 2).mean()
    cpg = ((codes[:-1] == 1) & (codes[1:] == 2)).mean()
    assert cpg / (c_share * g_share) < 0.7
    gc = np.isin(codes[: codes.size // 20_000 * 20_000], (1, 2)).reshape(-1, 20_000).mean(1)
    assert gc.std() > 4 * np.sqrt(0.25 / 20_000)


@pytest.mark.parametrize("shares", [(0.10,), (0.10, 0.04, 0.04, 0.02), ()])
def test_families_have_their_shares_and_are_soft_masked(tmp_path: Path, shares: tuple[float, ...]) -> None:
    """Elements that are placed anywhere overlap: of a share s they cover 1 - exp(-s)."""
    write_genome(tmp_path / "g.fa", BASES, seed=7, spec=GenomeSpec(copy_share=0.0, family_shares=shares))
    letters = letters_of(tmp_path / "g.fa")
    covered = 1 - np.exp(-sum(shares))
    # 444 elements or more: three standard deviations of their number are 14 %.
    assert (letters > ord("Z")).mean() == pytest.approx(covered, rel=0.15, abs=0.0)


def test_one_family_stands_out_as_in_human_dna(tmp_path: Path) -> None:
    """Its words are more than twice as frequent as the next families'."""
    write_genome(tmp_path / "g.fa", BASES, seed=7, spec=GenomeSpec(copy_share=0.0))
    codes = codes_of(tmp_path / "g.fa")
    both = np.concatenate([codes, 3 - codes[::-1]])
    count = both.size - 15
    words = sum((both[i : i + count] << 2 * i for i in range(16)), np.zeros(count, np.int64))
    often = np.sort(np.unique_counts(words).counts)[::-1]
    # Of a family of 285 words, 570 with both strands: a word is in three quarters of the elements, and intact in
    # (1 - 0.075)^16 = 29 % of those. The first family has 444 elements, the next two have 178 each.
    assert often[200] > 2 * 178 * 0.75 * 0.29
    assert often[570] < 444 * 0.75 * 0.29 / 1.5


def shared_words(codes: npt.NDArray[np.int64], longest: int) -> float:
    """Share of 16-base words that occurred before, at most `longest` bases earlier."""
    count = codes.size - 15
    words = sum((codes[i : i + count] << 2 * i for i in range(16)), np.zeros(count, np.int64))
    order = np.argsort(words, kind="stable")
    distance = np.diff(order)
    return float(((np.diff(words[order]) == 0) & (distance <= longest)).mean())


def test_longer_context_explains_more(genome: Path, tmp_path: Path) -> None:
    """Repeated words appear at every scale of distance, and are gone when copies and families are."""
    codes = codes_of(genome)
    near, middle, far = (shared_words(codes, longest) for longest in (1000, 10_000, 100_000))
    assert 0.01 < near < middle < far
    assert far - near > 0.03
    write_genome(tmp_path / "plain.fa", BASES, seed=7, spec=GenomeSpec(copy_share=0.0, family_shares=()))
    assert shared_words(codes_of(tmp_path / "plain.fa"), 100_000) < 0.005


def test_copies_lie_within_the_distances_asked_for(tmp_path: Path) -> None:
    spec = GenomeSpec(distances=(2000, 3000), copy_divergence=0.0, family_shares=(), copy_lengths=(500, 900))
    write_genome(tmp_path / "g.fa", 300_000, seed=3, spec=spec)
    codes = codes_of(tmp_path / "g.fa")
    # Two copies of one original may lie nearer to each other: that is the little that is left.
    assert shared_words(codes, 1990) < 0.03
    assert shared_words(codes, 3010) > 0.2


def test_a_genome_too_small_and_an_existing_file_are_refused(genome: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="want 1,000 to 1,073,741,824 bases"):
        write_genome(tmp_path / "g.fa", 500)
    with pytest.raises(InputError, match="never overwritten"):
        write_genome(genome, 5000)
    assert list(tmp_path.iterdir()) == []
