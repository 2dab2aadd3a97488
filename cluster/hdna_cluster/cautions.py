"""What to know before a run starts: passes over the data, bfloat16, memory, time; and whether to start a long one.

A run expected to take more than a day is asked about at a terminal. Elsewhere it starts: whoever has submitted a job
has decided already, nobody is there to answer, and a job that ended for want of a flag would have cost its place in
the queue. The warning is in its log all the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hdna.config import RunConfig
from hdna.data.curriculum import Curriculum
from hdna.devices import DEVICES, Device
from hdna.errors import InputError
from hdna.genome.shard_set import load_shard_set
from hdna.quantities import duration
from hdna_cluster.expected_time import expected_seconds
from hdna_cluster.plan import USABLE, estimate

MANY_PASSES = 10
LONG_S = 24 * 3600.0
WITHOUT_BF16 = {"K80", "P4", "P100", "V100", "T4"}
"""By Ray's names: GPUs before Ampere, which emulate bfloat16."""
_KINDS = {"H200": DEVICES["h200"], "H100": DEVICES["h100"], "A100-80G": DEVICES["a100"]}
_GIB = 2**30

Agree = Callable[[str], bool]
"""Answers a question; true: go on."""


@dataclass(frozen=True)
class Hardware:
    """What the workers of a run get, as far as Ray knows it."""

    gpu: bool
    kinds: tuple[str, ...] = ()
    """Ray's names of the accelerators."""
    memory_bytes: int | None = None
    """Of a worker; None: unknown."""

    @property
    def device(self) -> Device | None:
        """The device, if all are of one kind whose data sheet is known."""
        return _KINDS.get(self.kinds[0]) if self.gpu and len(self.kinds) == 1 else None


def hardware(nodes: Sequence[dict[str, Any]], resources: dict[str, float]) -> Hardware:
    """What `ray.nodes()` and the resources of a worker say of it; memory is what Ray found free when it started."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    if "GPU" in resources:
        kinds = {name.partition(":")[2] for node in alive for name in node if name.startswith("accelerator_type:")}
        known = Hardware(True, tuple(sorted(kinds)))
        return Hardware(True, known.kinds, known.device.memory_bytes if known.device else None)
    shares = [
        int((node.get("memory", 0) + node.get("object_store_memory", 0)) * resources["CPU"] / node["CPU"])
        for node in alive
        if node.get("CPU", 0) >= resources["CPU"]
    ]
    return Hardware(False, memory_bytes=min((share for share in shares if share), default=None))


def heed(config: RunConfig, has: Hardware, done_steps: int, say: Callable[[str], None], agree: Agree) -> None:
    """Say what there is to know, in one block; ask before a run of more than a day.

    Raises InputError when the answer is no.
    """
    seconds = expected_seconds(config, has.gpu, has.device, done_steps)
    lines = [*_passes(config), *_bf16(config, has), *_memory(config, has)]
    if seconds is not None:
        lines.append(f"about {duration(seconds)} to go, by a few steps timed here or what 'hdna plan' expects")
    if lines:
        say("before the start:\n" + "\n".join(f"  {line}" for line in lines))
    if seconds is not None and seconds > LONG_S and not agree(f"{config.run.url}: about {duration(seconds)}. Start?"):
        raise InputError(f"{config.run.url}: not started, as you answered: 'hdna init --hours' chooses a shorter run")


def _passes(config: RunConfig) -> list[str]:
    """The shard set that is read most often, if that is very often."""
    bases = [load_shard_set(url).totals["train"].bases for url in config.data.shards]
    weights = config.data.weights or [float(count) for count in bases]
    tokens = Curriculum.of(config).tokens
    passes = [tokens * weight / sum(weights) / count for weight, count in zip(weights, bases, strict=True)]
    most = max(range(len(bases)), key=passes.__getitem__)
    if passes[most] <= MANY_PASSES:
        return []
    return [
        f"{passes[most]:,.0f} passes over the {bases[most]:,} train bases of {config.data.shards[most]}: after about "
        f"{MANY_PASSES} a model learns little but the bases themselves; curriculum.N.until_tokens says how many"
    ]


def _bf16(config: RunConfig, has: Hardware) -> list[str]:
    if config.parallel.precision != "bf16":
        return []
    slow = sorted(WITHOUT_BF16.intersection(has.kinds)) if has.gpu else ["CPUs"]
    if not slow:
        return []
    return [f"bf16 on {' and '.join(slow)}, few of which multiply it in hardware: parallel.precision=fp32 is faster"]


def _memory(config: RunConfig, has: Hardware) -> list[str]:
    if has.memory_bytes is None:
        return []
    device = Device("worker", has.memory_bytes, "GPU" if has.gpu else None)
    found = [estimate(config, stage, device) for stage in Curriculum.of(config).stages]
    most = max(found, key=lambda stage: stage.total)
    if most.total <= USABLE * has.memory_bytes:
        return []
    return [
        f"stage {most.stage.index} takes about {most.total / _GIB:,.1f} GiB on each worker, which has "
        f"{has.memory_bytes / _GIB:,.1f}: 'hdna plan' says what makes it fit"
    ]
