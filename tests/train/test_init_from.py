"""A new run that begins from the weights of another, of a checkpoint or of an import; and what is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.rank_tasks import run_training
from support.ranks import run_ranks

from hdna.checkpoint import list_checkpoints, load_checkpoint, load_weights
from hdna.config import dump_recipe, load_recipe
from hdna.errors import InputError
from hdna.interop import to_reference
from hdna.interop.imports import translated, write_import
from hdna.interop.weights_file import read_weights
from hdna.model import HyenaDNA
from hdna.run.files import BASELINES, ENVIRONMENT, read_json, read_metrics
from hdna.train.preflight import preflight
from hdna.train.source import with_extension

pytestmark = pytest.mark.ranks
ONE_STEP = ["curriculum=[{context_length: 512, until_tokens: 2048, micro_batch_size: 1}]", "optim.warmup_fraction=0"]
STILL = [*ONE_STEP, "optim.learning_rate=1e-12"]
"""A step that leaves every weight where it is, to 1e-12."""
EXTENDED = "model.extended_from=[514]"


@pytest.fixture(scope="module")
def source(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of ten steps."""
    url = str(tmp_path_factory.mktemp("source") / "run")
    run_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={url}"])
    return url


def begun(recipe: Path, url: Path, source: str, ranks: int = 1, settings: list[str] = STILL) -> str:
    overrides = [f"run.url={url}", f"run.init_from={source}", f"parallel.workers={ranks}", *settings]
    run_ranks(ranks, run_training, recipe=recipe, overrides=overrides)
    return str(url)


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_first_score_is_the_source_s_last(ranks: int, source: str, tiny_recipe: Path, tmp_path: Path) -> None:
    run = begun(tiny_recipe, tmp_path / "run", source, ranks)
    before, after = (read_metrics(url)[-1].valid_bits_per_base for url in (source, run))
    assert before is not None
    assert after == pytest.approx(before, rel=1e-6)
    weights = load_weights(source)
    for name, value in load_weights(run).items():
        torch.testing.assert_close(value, weights[name], atol=1e-9, rtol=0)


def test_moments_and_counts_begin_anew(source: str, tiny_recipe: Path, tmp_path: Path) -> None:
    """After one step Adam's first moment is a tenth of one gradient; the source's went on for ten."""
    run = begun(tiny_recipe, tmp_path / "run", source)
    (ref,) = list_checkpoints(run)
    loaded = load_checkpoint(ref.url)
    assert (loaded.state.step, loaded.state.updates, loaded.state.tokens) == (1, 1, 2048)
    for name, first in loaded.tensors["exp_avg"].items():
        gradient, second = first / 0.1, loaded.tensors["exp_avg_sq"][name]
        torch.testing.assert_close(second, 0.001 * gradient**2, rtol=1e-4, atol=1e-12)


def test_where_the_weights_are_from_is_kept_also_over_a_resume(source: str, tiny_recipe: Path, tmp_path: Path) -> None:
    longer = [ONE_STEP[0].replace("2048", "4096"), "optim.warmup_fraction=0"]
    run = begun(tiny_recipe, tmp_path / "run", source)
    said = read_json(run, ENVIRONMENT)["weights from"]
    newest = list_checkpoints(source)[-1]
    assert said.startswith(f"{newest.url}, step 10, 20,480 tokens, sha256 ")
    begun(tiny_recipe, tmp_path / "run", source, settings=[*longer, "run.resume=force"])
    assert read_metrics(run)[-1].step == 2
    assert read_json(run, ENVIRONMENT)["weights from"] == said


def test_a_run_that_has_begun_needs_its_source_no_more(source: str, tiny_recipe: Path, tmp_path: Path) -> None:
    run = begun(tiny_recipe, tmp_path / "run", source)
    preflight(load_recipe(str(tiny_recipe), [f"run.url={run}", "run.init_from=/gone/by/now"]))


def test_an_import_is_a_beginning_like_any_other(tiny_recipe: Path, tmp_path: Path) -> None:
    config = load_recipe(str(tiny_recipe)).model
    torch.manual_seed(3)
    model = HyenaDNA(config)
    save_file(to_reference(model.state_dict(), config), tmp_path / "model.safetensors")
    published = read_weights(str(tmp_path))
    imported = str(tmp_path / "import")
    write_import(translated(published, config.shift), published, imported)
    run = begun(tiny_recipe, tmp_path / "run", imported)
    loaded = load_weights(run)
    for name, value in model.named_parameters():
        torch.testing.assert_close(loaded[name], value.detach(), atol=1e-9, rtol=0)


def test_another_geometry_is_refused_key_by_key_before_anything_starts(source: str, tiny_recipe: Path) -> None:
    def config(*overrides: str) -> None:
        preflight(load_recipe(str(tiny_recipe), [f"run.init_from={source}", *overrides]))

    config("model.embed_dropout=0.3")
    config("model.d_inner=64")  # what null stands for
    with pytest.raises(
        InputError, match=r"its model\.d_model is 16, .* 32; its model\.n_layer is 2, this recipe's is 3"
    ):
        config("model.d_model=32", "model.n_layer=3")
    with pytest.raises(InputError, match="has no intact checkpoint"):
        config("run.init_from=/nowhere/at/all")


def test_a_longer_context_goes_on_from_the_source_s_score(source: str, tiny_recipe: Path, tmp_path: Path) -> None:
    """The valid split at the shorter context. Absolute positions change nothing there but rounding."""
    longer = ["model.l_max=1026", "model.filter_positions=absolute", *STILL]
    run = f"run.url={tmp_path / 'run'}"
    resolved = with_extension(load_recipe(str(tiny_recipe), [f"run.init_from={source}", run, *longer]))
    assert (resolved.model.l_max, resolved.model.extended_from) == (1026, [514])
    preflight(resolved)
    begun(tiny_recipe, tmp_path / "run", source, settings=[*longer, "model.extended_from=[514]"])
    before, after = (read_metrics(str(url))[-1].valid_bits_per_base for url in (source, tmp_path / "run"))
    assert after == pytest.approx(before, rel=1e-6)
    first = read_json(str(tmp_path / "run"), BASELINES)
    assert (first["source"], first["source_context_length"]) == (pytest.approx(before, rel=1e-6), 512)


def test_extensions_are_remembered_in_order(source: str, tiny_recipe: Path, tmp_path: Path) -> None:
    middle = begun(tiny_recipe, tmp_path / "middle", source, settings=["model.l_max=1026", EXTENDED, *STILL])
    third = [f"run.url={tmp_path / 'third'}", f"run.init_from={middle}"]
    for l_max, expected in ((2050, [514, 1026]), (1026, [514])):
        resolved = with_extension(load_recipe(str(tiny_recipe), [*third, f"model.l_max={l_max}"]))
        assert resolved.model.extended_from == expected
        preflight(resolved)
    with pytest.raises(InputError, match=r"its model\.filter_positions is squeezed, this recipe's is absolute"):
        other = [*third, "model.l_max=2050", "model.filter_positions=absolute"]
        preflight(with_extension(load_recipe(str(tiny_recipe), other)))


def test_a_run_that_exists_has_its_extensions_from_its_own_recipe(tiny_recipe: Path, tmp_path: Path) -> None:
    given = [f"run.url={tmp_path}", "run.init_from=/gone/by/now", "model.l_max=1026"]
    resolved = load_recipe(str(tiny_recipe), [*given, EXTENDED])
    (tmp_path / "recipe.yaml").write_text(dump_recipe(resolved))
    assert with_extension(load_recipe(str(tiny_recipe), given)) == resolved


def test_a_context_may_grow_and_nothing_else(source: str, tiny_recipe: Path, tmp_path: Path) -> None:
    def check(*overrides: str) -> None:
        preflight(with_extension(load_recipe(str(tiny_recipe), [f"run.init_from={source}", *overrides])))

    url = f"run.url={tmp_path / 'new'}"
    check(url, "model.l_max=600", "model.filter_positions=rescaled")
    with pytest.raises(InputError, match=r"another model: its model\.l_max is 514, this recipe's is 512$"):
        check(url, "model.l_max=512")
    with pytest.raises(InputError, match=r"another model: its model\.n_layer is 2, this recipe's is 3$"):
        check(url, "model.l_max=600", "model.n_layer=3")
    with pytest.raises(InputError, match=r"its model\.extended_from\.0 is 514, this recipe's is 300"):
        check(url, "model.l_max=600", "model.extended_from=[300]")
    with pytest.raises(InputError, match=r"is in run\.url"):
        check(f"run.url={source}")
