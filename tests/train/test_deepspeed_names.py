"""The private names of DeepSpeed that the engine relies on exist in the pinned version."""

from pathlib import Path

import pytest
import torch

from hdna.train.engine import _MUON, _import_deepspeed, apex_is_nvidia, fused_kernels


def test_the_extension_that_would_be_compiled_at_start_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the name gone, a start on CPU would compile for a minute and need a C++ compiler."""
    import deepspeed
    from deepspeed.comm.torch import build_shm_op
    from deepspeed.ops.op_builder.cpu import ShareMemCommBuilder

    monkeypatch.setattr(deepspeed, "init_distributed", lambda **settings: None)
    _import_deepspeed(torch.device("cpu"))
    assert build_shm_op() is None
    monkeypatch.setattr(ShareMemCommBuilder, "load", lambda builder: pytest.fail("compiled"))
    monkeypatch.setitem(deepspeed.ops.__compatible_ops__, ShareMemCommBuilder.NAME, True)
    with pytest.raises(pytest.fail.Exception, match="compiled"):
        build_shm_op()


def test_zero_links_its_optimizer_state_by_the_name_we_call() -> None:
    from deepspeed.runtime.zero.stage_1_and_2 import DeepSpeedZeroOptimizer

    assert callable(DeepSpeedZeroOptimizer._lazy_init_hp_params_optimizer_state)


def test_the_module_that_is_kept_from_loading_the_compiler_is_there() -> None:
    """Were it renamed, every start would load torch's compiler again, for 1.3 s."""
    import deepspeed

    assert Path(deepspeed.__file__).parents[1].joinpath(*_MUON.split(".")).with_suffix(".py").is_file()


def test_pypis_unrelated_apex_is_told_from_nvidias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apex").mkdir()
    (tmp_path / "apex" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not apex_is_nvidia()
    assert "unrelated" in fused_kernels(torch.device("cuda"))
    assert "no GPU" in fused_kernels(torch.device("cpu"))
