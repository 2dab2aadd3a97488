"""What the tests of prep share: one small genome, made into a store and a shard set once."""

from pathlib import Path

import pytest

from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with g.fa (some ambiguity codes put in), g.zarr and set/, of windows of 5,000 bases."""
    folder = tmp_path_factory.mktemp("made")
    write_genome(folder / "plain.fa", 120_000, contigs=3, seed=5)
    (folder / "g.fa").write_text((folder / "plain.fa").read_text().replace("ACCAA", "ACRAU"))
    encode_genome([str(folder / "g.fa")], str(folder / "g.zarr"))
    write_shards([str(folder / "g.zarr")], str(folder / "set"), window=5000)
    return folder
