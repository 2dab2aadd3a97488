"""The notebook of the documentation does what it shows, on a genome of the reader's own, and shows what it does."""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from support.fork_server import REPO
from support.notebooks import EXECUTED, code_cells, execute, read_notebook, sources_digest

from hdna import HyenaDNA
from hdna.genome import GenomeStore, Interval
from hdna_prep.synthetic import write_genome

NOTEBOOK = REPO / "docs" / "notebooks" / "first_model.ipynb"
NOTEBOOKS = sorted(NOTEBOOK.parent.glob("*.ipynb"))
MAX_BYTES = 300_000
CONTEXT, STEP = 1024, 512
SHORTENED = 'GENOME, VALID, TEST, TOKENS = "my genome.fa", "chr2", "chr3", 131_072'
KEPT = """np.savez(
    "found.npz", bits=bits, markov=markov, is_repeat=is_repeat, embeddings=embeddings.numpy(), clean=clean.numpy(),
    smoothed=smooth(bits, 1000), next_base=list(logits[0, -1].tolist()),
)"""

Found = dict[str, npt.NDArray[np.float64]]

notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)


@notebook
def test_its_outputs_are_of_its_sources(path: Path) -> None:
    committed = read_notebook(path)
    assert committed.metadata[EXECUTED] == sources_digest(committed), "make notebook"
    cells = code_cells(committed)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]


@notebook
def test_it_is_small_and_knows_nothing_of_the_machine_that_executed_it(path: Path) -> None:
    assert path.stat().st_size < MAX_BYTES
    said = [output.get("text", "") for cell in code_cells(read_notebook(path)) for output in cell.outputs]
    assert not re.findall(r"(?<![\w.:/])/\w+/\S*", "\n".join(said))
    assert "Warning" not in "\n".join(said)


@notebook
def test_its_links_lead_to_files(path: Path) -> None:
    text = "\n".join(cell.source for cell in read_notebook(path).cells if cell.cell_type == "markdown")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert links
    assert not [link for link in links if not (path.parent / link).is_file()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebook was executed with a small genome in place of its own, few tokens, and its values kept."""
    folder = tmp_path_factory.mktemp("notebook")
    write_genome(folder / "my genome.fa", 180_000, contigs=3, seed=3)
    execute(read_notebook(NOTEBOOK), folder, parameters=SHORTENED, afterwards=KEPT)
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> Found:
    """The values it kept."""
    return dict(np.load(folder / "found.npz"))


@pytest.fixture(scope="module")
def store(folder: Path) -> GenomeStore:
    """The genome, as the notebook prepared it."""
    return GenomeStore.open(str(folder / "work" / "store.zarr"))


def letters(store: GenomeStore, contig: str) -> str:
    return store.read_ascii(Interval(contig, 0, store.contigs[contig])).decode().upper()


@pytest.mark.ray
def test_it_trains_a_model_that_has_learned_something(found: Found, store: GenomeStore) -> None:
    """Better than the held-out chromosome's own composition."""
    text = letters(store, "chr3")
    shares = np.array([text.count(base) for base in "ACGT"]) / len(text.replace("N", ""))
    assert np.nanmean(found["bits"]) < -(shares * np.log2(shares)).sum()


@pytest.mark.ray
def test_each_base_has_the_bits_of_the_model_in_its_window(found: Found, folder: Path, store: GenomeStore) -> None:
    """By passes of their own: over what the base has before it in the window, and nothing after it."""
    bits, text = found["bits"], letters(store, "chr3")
    model, tokenizer = HyenaDNA.load(str(folder / "work" / "run"))
    for at in (1, 700, CONTEXT, CONTEXT + 1, 30_000, 30_208, 30_209, len(text) - 1):
        start = max(0, (at - 1) // STEP * STEP - STEP)
        assert at - start >= min(at, STEP)
        with torch.no_grad():
            probabilities = model(tokenizer(text[start:at]))[0, -1].softmax(0)
        if text[at] == "N":
            assert np.isnan(bits[at])
        else:
            expected = -probabilities[tokenizer.vocabulary.index(text[at])].log2()
            assert bits[at] == pytest.approx(expected.item(), abs=1e-4)


@pytest.mark.ray
def test_bits_are_missing_of_n_and_the_first_base_alone(found: Found, store: GenomeStore) -> None:
    text = letters(store, "chr3")
    assert np.isnan(found["bits"]).tolist() == [at == 0 or base == "N" for at, base in enumerate(text)]


@pytest.mark.ray
def test_its_markov_model_is_counted_on_the_training_chromosome(found: Found, store: GenomeStore) -> None:
    """By a dictionary."""
    counts: dict[str, int] = {}
    train, text = letters(store, "chr1"), letters(store, "chr3")
    for at in range(5, len(train)):
        counts[train[at - 5 : at + 1]] = counts.get(train[at - 5 : at + 1], 0) + 1
    for at in range(20_000, 20_050):
        context, seen = text[at - 5 : at], [counts.get(text[at - 5 : at] + base, 0) + 1 for base in "ACGT"]
        assert found["markov"][at] == pytest.approx(-np.log2(seen["ACGT".index(text[at])] / sum(seen))), context


@pytest.mark.ray
def test_the_plotted_line_is_the_mean_of_what_is_known_around_a_base(found: Found) -> None:
    near = found["bits"][30_000 - 500 : 30_000 + 500]
    assert found["smoothed"][30_000] == pytest.approx(np.nanmean(near), abs=2e-2)
    assert np.isnan(found["smoothed"][0])


@pytest.mark.ray
def test_embeddings_are_means_of_the_last_hidden_states(found: Found, folder: Path, store: GenomeStore) -> None:
    text = letters(store, "chr3")
    windows = [text[start : start + 256] for start in range(0, len(text) - 255, 256)]
    assert found["clean"].tolist() == ["N" not in window for window in windows]
    known = [window for window in windows if "N" not in window]
    model, tokenizer = HyenaDNA.load(str(folder / "work" / "run"))
    assert found["embeddings"].shape == (len(known), model.config.d_model)
    with torch.no_grad():
        expected = model.hidden(tokenizer(known[7])).mean(1)[0]
    assert found["embeddings"][7] == pytest.approx(expected.numpy(), abs=1e-4)


@pytest.mark.ray
def test_the_tokenizer_cell_shows_the_next_base(found: Found, folder: Path) -> None:
    model, tokenizer = HyenaDNA.load(str(folder / "work" / "run"))
    with torch.no_grad():
        expected = model(tokenizer("ACGTTGCAACGTTTATA"))[0, -1]
    assert found["next_base"] == pytest.approx(expected.numpy(), abs=1e-5)
