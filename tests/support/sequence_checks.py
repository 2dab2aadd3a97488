"""Checks of sequence parallelism, which the ranks of a group run together; each makes its own assertions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import torch
import torch.distributed as dist  # noqa: TID251 - the ranks of tests
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from hdna.config import ModelConfig
from hdna.model import HyenaDNA, weighted_nats
from hdna.model.backbone import Block
from hdna.model.filter_cache import MicroStep
from hdna.model.micro_batch import MicroBatch
from hdna.parallel import Mesh, all_to_all, shard_sequence, slice_batch
from hdna.parallel.all_to_all import AllToAllConv
from hdna.parallel.distributed_fft import DistributedFFTConv
from hdna.parallel.exchange import channel_splits, to_channels, to_positions
from support.direct_conv import direct_conv

LongConv = Callable[[Tensor, Tensor, Tensor], Tensor]


def strategies(mesh: Mesh) -> dict[str, LongConv]:
    return {"all_to_all": AllToAllConv(mesh, MicroStep), "distributed_fft": DistributedFFTConv(mesh)}


def convolutions() -> None:
    """Both strategies against the definition, values and gradients, in fp64."""
    mesh = Mesh.of_this_process(dist.get_world_size())
    shortest = 2 * mesh.world_size  # slices of two positions, of which not every rank has a column
    for batch, channels, length, smallest in ((1, 7, 60, 2**22), (2, 5, 120, 1), (3, 2, 180, 1), (1, 3, shortest, 1)):
        all_to_all.MIN_MESSAGE_BYTES = smallest
        draw = partial(torch.randn, dtype=torch.float64, generator=torch.Generator().manual_seed(length))
        inputs = [draw(batch, channels, length), draw(channels, length), draw(channels)]
        dy_BDL = draw(batch, channels, length)
        mine = mesh.slice_of(length)
        wanted = direct_conv(*(x.requires_grad_() for x in inputs))
        gradients = torch.autograd.grad(wanted, inputs, dy_BDL)
        for name, convolve in strategies(mesh).items():
            local = [inputs[0][..., mine], inputs[1][..., mine], inputs[2]]
            local = [x.detach().clone().requires_grad_() for x in local]
            y_BDS = convolve(*local)
            du, dk, dbias = torch.autograd.grad(y_BDS, local, dy_BDL[..., mine])
            dist.all_reduce(dbias)
            expected = [wanted[..., mine], gradients[0][..., mine], gradients[1][..., mine], gradients[2]]
            for found, value in zip((y_BDS, du, dk, dbias), expected, strict=True):
                # fp64 rounding of some hundred terms of size one
                torch.testing.assert_close(found, value, rtol=0, atol=1e-11, msg=partial("{}: {}".format, name))


def bits() -> None:
    """What travels in a message of another dtype arrives bit for bit, NaN payloads and subnormals included."""
    mesh, ranks = Mesh.of_this_process(dist.get_world_size()), dist.get_world_size()
    draw = torch.Generator().manual_seed(mesh.rank)
    k_1DS = torch.randint(-(2**31), 2**31, (1, 7, 9), generator=draw).to(torch.int32).view(torch.float32)
    u_BDS = torch.randint(-(2**15), 2**15, (3, 7, 9), generator=draw).to(torch.int16).view(torch.bfloat16)
    back = [torch.zeros_like(u_BDS), torch.zeros_like(k_1DS)]
    for share in channel_splits(7, ranks, groups=2):
        to_positions(to_channels([u_BDS, k_1DS], share, mesh)(), back, share, mesh)()
    assert torch.equal(back[0].view(torch.int16), u_BDS.view(torch.int16))
    assert torch.equal(back[1].view(torch.int32), k_1DS.view(torch.int32))


def bf16() -> None:
    """Half-precision activations with fp32 filters: no worse than rounding the inputs and the result."""
    mesh = Mesh.of_this_process(dist.get_world_size())
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(3))
    u_BDL, k_DL, bias_D = draw(2, 5, 120).bfloat16(), draw(5, 120) / 10, draw(5)
    mine = mesh.slice_of(120)
    wanted = direct_conv(u_BDL.double(), k_DL.double(), bias_D.double())[..., mine]
    for convolve in strategies(mesh).values():
        found = convolve(u_BDL[..., mine], k_DL[..., mine], bias_D)
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found.double(), wanted, rtol=2**-8, atol=1e-5)  # bf16 keeps eight bits


@contextmanager
def counted(calls: list[int]) -> Iterator[None]:
    """Note the size in bytes of every message of the collective that carries slices."""
    plain = dist.all_to_all_single

    def counting(
        arrived: Tensor,
        message: Tensor,
        received: list[int],
        sent: list[int],
        group: dist.ProcessGroup | None,
        async_op: bool,
    ) -> object:
        calls.append(message.nbytes)
        return plain(arrived, message, received, sent, group, async_op)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dist, "all_to_all_single", counting)
        yield


def batches(count: int, length: int) -> list[MicroBatch]:
    draw = torch.Generator().manual_seed(1)
    return [
        MicroBatch(
            torch.randint(7, 11, (2, length + 1), generator=draw).byte(),
            torch.tensor([2 * number, 2 * number + 1]),
            torch.rand(2, length + 1, generator=draw) < 0.5,
            repeat_weight=0.3,
        )
        for number in range(count)
    ]


def one_step(model: HyenaDNA, mesh: Mesh, whole: list[MicroBatch]) -> None:
    """Forward and backward over micro-batches; gradients are left in the parameters."""
    for number, micro_batch in enumerate(whole):
        mine = slice_batch(micro_batch, mesh)
        model.backbone.micro_step = MicroStep(number == 0, number == len(whole) - 1)
        model.embed_dropout.set_position(3, mine.samples, mine.first_position)
        weighted_nats(model(mine.input_ids), mine.targets, mine.weights).backward()


def recomputation() -> None:
    """Activation checkpointing sends nothing more, and generates each slice of a filter once."""
    mesh = Mesh.of_this_process(dist.get_world_size())
    for kind in ("all_to_all", "distributed_fft"):
        messages: dict[bool, list[int]] = {}
        for recompute in (False, True):
            model = HyenaDNA(ModelConfig(d_model=6, n_layer=2, order=3, l_max=60, filter_order=8))
            model.backbone.activation_checkpointing = recompute
            shard_sequence(model, mesh, kind)
            spans: list[tuple[int, int]] = []
            for block in model.backbone.blocks:
                assert isinstance(block, Block)
                block.hyena.filter.register_forward_pre_hook(lambda _, span, spans=spans: spans.append(span))
            with counted(messages.setdefault(recompute, [])):
                one_step(model, mesh, batches(3, 60))
            mine = mesh.slice_of(60)
            assert spans == [(mine.start, mine.stop)] * 2
        assert messages[False] == messages[True]


def saved() -> None:
    """What a rank keeps for the backward pass shrinks with the number of ranks: at most 1.15 / P of one rank's."""
    ranks = dist.get_world_size()
    for kind in ("all_to_all", "distributed_fft"):
        whole, mine = _saved_bytes(Mesh(0, 1), kind), _saved_bytes(Mesh.of_this_process(ranks), kind)
        assert mine <= 1.15 / ranks * whole, (kind, mine, whole)


def _saved_bytes(mesh: Mesh, kind: str) -> int:
    torch.manual_seed(0)
    model = HyenaDNA(ModelConfig(d_model=24, n_layer=2, l_max=2400))
    shard_sequence(model, mesh, kind)
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    (batch,) = batches(1, 2400)
    mine = slice_batch(batch, mesh)
    with saved_tensors_hooks(note, lambda tensor: tensor):
        loss = weighted_nats(model(mine.input_ids), mine.targets, mine.weights)
    total = sum(storages.values())
    loss.backward()
    return total
