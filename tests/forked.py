"""Ranks forked from one process that has the libraries loaded: cheaper than processes that each import them."""

import os
import sys
import traceback
from collections.abc import Callable

import torch
import torch.distributed as dist
from ranks import free_port


def run_forked(world_size: int, task: Callable[[], None]) -> None:
    """Run `task` on that many ranks joined by gloo, and end this process: with status 1 where a rank failed."""
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()), WORLD_SIZE=str(world_size))
    children = [os.fork() or _run_rank(rank, task) for rank in range(world_size)]
    failed = [child for child in children if os.waitpid(child, 0)[1]]
    sys.exit(f"{len(failed)} of {world_size} ranks failed" if failed else 0)


def _run_rank(rank: int, task: Callable[[], None]) -> int:
    status = 1
    try:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
        dist.init_process_group("gloo")
        task()
        dist.destroy_process_group()
        status = 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
