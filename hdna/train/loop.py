"""Training as run by one worker: resume, then step after step, with evaluations and checkpoints when due."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta

import torch

from hdna import storage
from hdna.checkpoint import RunState
from hdna.config import RunConfig, dump_recipe
from hdna.config.recipe import flatten
from hdna.data.cache import ShardCache
from hdna.data.collate import Collator, StepBatch
from hdna.data.curriculum import Curriculum, StagePlan
from hdna.data.order import DataOrder
from hdna.data.step_flops import step_flops
from hdna.data.stream import WindowReader, prefetched
from hdna.devices import describe_device, device_called
from hdna.errors import InputError
from hdna.evaluate.bits import SetScore, total_of
from hdna.evaluate.markov import MAX_TRAIN_BASES
from hdna.evaluate.scored_sets import scored_sets
from hdna.genome.shard_set import ShardSet, load_shard_set
from hdna.model.graphed import can_replay
from hdna.parallel import Mesh, shard_sequence
from hdna.parallel.mesh import lost_ranks_explained
from hdna.run.best_effort import BestEffort
from hdna.run.events import Doing, Report, StepDone
from hdna.run.files import BASELINES, ENVIRONMENT, WEIGHTS_FROM, read_json, write_json
from hdna.run.lease import Fence
from hdna.run.metrics import Metrics
from hdna.run.status import DONE, FAILED, STOPPED
from hdna.run.step_record import StepRecord
from hdna.run.utc import utc_now
from hdna.storage.traffic import TRAFFIC
from hdna.train import checkpointing
from hdna.train.allocator import keep_freed_memory, peak_memory, return_freed_memory
from hdna.train.assemble import begun_engine, meshes
from hdna.train.banner import environment, start_block
from hdna.train.optim import learning_rate
from hdna.train.saver import Saver
from hdna.train.scoring import keep_baselines, keep_source_score, keep_test_score, score_at, with_scores
from hdna.train.source import described, load_source
from hdna.train.step import StepResult, optimizer_step, share_of_step

PREFETCHED_STEPS = 32
"""Steps ahead whose shards are copied from a bucket: a group of shards lasts for hundreds to thousands of steps, so its
first steps touch most of its shards."""
MAX_SKIPPED_IN_A_ROW = 5
"""Non-finite steps after which a run stops: one can be bad luck, five are a wrong learning rate or a bug."""


def train(
    config: RunConfig,
    device: torch.device,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
    fence: Fence | None = None,
) -> RunState:
    """Train a recipe to its end, from the newest intact checkpoint if any; called by all ranks.

    After a step for which `should_stop` is true on some rank, all save and return. With a `fence`, nothing is saved
    once another driver has taken the run over.
    """
    with lost_ranks_explained():
        return _Training(config, device, report, fence).run(should_stop)


class _Training:
    """The parts of a run, assembled."""

    def __init__(self, config: RunConfig, device: torch.device, report: Report, fence: Fence | None) -> None:
        self.config = config
        self._keeps_memory = device.type == "cpu" and config.parallel.keep_freed_memory and keep_freed_memory()
        self.meshes = meshes(config)
        self.mesh = self.meshes[1]
        self.best_effort = BestEffort(report if self.mesh.is_leader else lambda event: None)
        self.report = self.best_effort.report
        self.curriculum = Curriculum.of(config)
        shard_sets = [load_shard_set(url) for url in config.data.shards]
        cache = ShardCache()
        self.train_windows = WindowReader(shard_sets, "train", cache)
        self.valid_windows = WindowReader(shard_sets, "valid", cache)
        self.test_windows = WindowReader(shard_sets, "test", cache)
        self._scored = {
            split: scored_sets(shard_sets, split, config.evaluate.max_bases, config.data.weights)
            for split in ("valid", "test")
        }
        self.order = DataOrder(
            self.train_windows.tables,
            self.curriculum,
            config.run.seed,
            config.data.weights,
            config.data.reverse_complement,
        )
        self._in_buckets = not all(storage.is_local(url) for url in config.data.shards)
        self.collator = Collator(self.train_windows.read_batch, config.data, config.run.seed)
        data = {str(number): shard_set.checksum for number, shard_set in enumerate(shard_sets)}
        found = checkpointing.newest(config, data, self.report) if self.mesh.is_leader else None
        saved = checkpointing.shared(self.mesh, device, found)
        self.state = saved.state if saved else RunState(seed=config.run.seed)
        self.state.recipe, self.state.data = dump_recipe(config), data
        begun_from = load_source(config) if self.mesh.is_leader and not saved else None
        source = None if saved else checkpointing.shared(self.mesh, device, begun_from)
        self._source = described(source) if source else ""
        self.engine = begun_engine(config, device, saved, source)
        beside = Mesh.beside_training(timedelta(seconds=config.parallel.collective_timeout_s))
        self.metrics = (
            Metrics(config.run.url, self.state.step, self.best_effort, fence, flatten(config), config.run.trackers)
            if self.mesh.is_leader
            else None
        )
        self.saver = Saver(self.engine, beside, config, fence, self.metrics, self.best_effort)
        known = device_called(describe_device(device))
        self._peak_flops = known.peak_flops(config.parallel.precision) if known else None
        self._skipped_in_a_row = 0
        self._entered: int | None = None
        """The stage that the model is set up for."""
        if self.mesh.is_leader:
            windows = self.train_windows, self.valid_windows
            text = start_block(config, shard_sets, *windows, self.state, device, self._keeps_memory)
            self.report(text)
            if self._source:
                self.report(f"weights from {self._source}")
            self._describe_run(device, shard_sets)
            self.report(Doing("taking the first step"))

    def run(self, should_stop: Callable[[], bool]) -> RunState:
        """Run the remaining steps, or those until the run is told to stop."""
        try:
            return self._run(should_stop)
        except BaseException:
            if self.metrics:
                self.metrics.end_tracking(FAILED)
            raise

    def _run(self, should_stop: Callable[[], bool]) -> RunState:
        if self.config.run.init_from is not None and not self.state.step:
            self._score_source()
        self._prefetch(range(self.state.step, self.state.step + PREFETCHED_STEPS))
        batches = map(self._batch, range(self.state.step, self.curriculum.steps))
        ended = began = time.perf_counter()
        for batch in prefetched(batches):
            waited = time.perf_counter() - began
            self._enter(batch.stage)
            record = self._evaluated(self._step(batch, waited), batch.stage)
            due = self.saver.is_due(record.step, record.valid_bits_per_base is not None)
            stops, saves, read, written = self._summed(should_stop(), due, *TRAFFIC.taken())
            before, ended = ended, time.perf_counter()
            record = replace(
                record,
                time=utc_now(),
                seconds=ended - before,
                workers=self.mesh.world_size,
                bucket_read_bytes=read,
                bucket_written_bytes=written,
            )
            if self.metrics:
                self.metrics.log(record)
            self.report(StepDone(record, self.curriculum.steps))
            self._save(record, saves > 0, stops > 0)
            if stops:
                break
            began = time.perf_counter()
        is_done = self.state.step == self.curriculum.steps
        if is_done:
            self._score_test()
        if self.metrics:
            self.metrics.close(DONE if is_done else STOPPED)
        if failures := self.best_effort.summary():
            self.report(failures)
        return self.state

    def _summed(self, *counts: int) -> list[int]:
        """Each count's sum over all ranks."""
        summed = self.mesh.sum(torch.tensor(counts, dtype=torch.float64, device=self.engine.device))
        return [round(total) for total in summed.tolist()]

    def _batch(self, step: int) -> StepBatch:
        self._prefetch([step + PREFETCHED_STEPS])
        stage = self.curriculum.stage(step)
        return share_of_step(self.collator, step, stage, self.order.batch(step), self.meshes[stage.sequence_parallel])

    def _prefetch(self, steps: Iterable[int]) -> None:
        """Start copying the shards of upcoming steps from their buckets."""
        for step in steps:
            if self._in_buckets and step < self.curriculum.steps:
                self.train_windows.prefetch(self.order.batch(step))

    def _enter(self, stage: StagePlan) -> None:
        """Switch to the stage's sequence parallelism, leaving parameters and optimizer state untouched."""
        if self._keeps_memory and stage.index != self.state.stage:
            return_freed_memory()  # the last step's stage had tensors of other sizes
        mesh = self.meshes[stage.sequence_parallel]
        if mesh is not self.mesh:
            self.mesh = mesh
            shard_sequence(self.engine.module.model, mesh, self.config.parallel.long_conv)
        if stage.index != self._entered:
            self._entered = stage.index
            one_shape = len(self.curriculum.contexts[stage.index]) == 1
            on_gpu = self.engine.device.type == "cuda"
            graphs = on_gpu and one_shape and can_replay(self.config.parallel, stage.sequence_parallel)
            self.engine.module.model.backbone.use_cuda_graphs(graphs)

    def _step(self, batch: StepBatch, waited: float) -> StepRecord:
        """One optimizer step, after a wait of `waited` seconds for its data."""
        began = time.perf_counter()
        stage, tokens = batch.stage, self.config.optim.global_batch_tokens
        self.engine.set_accumulation(len(batch.micro_batches))
        rate = learning_rate(self.config.optim, self.state.tokens, self.curriculum.tokens)
        result = optimizer_step(self.engine, self.mesh, batch, rate)
        self.state.step, self.state.stage = batch.step + 1, stage.index
        self.state.tokens += tokens
        self._count(result)
        seconds = time.perf_counter() - began
        flops = step_flops(self.config, stage, self.mesh.data_parallel_size) / self.mesh.world_size / (seconds + waited)
        return StepRecord(
            step=self.state.step,
            tokens=self.state.tokens,
            stage=stage.index,
            context_length=stage.context_length,
            sequence_parallel=stage.sequence_parallel,
            loss=result.loss if math.isfinite(result.loss) else None,
            bits_per_base=result.loss / math.log(2) if math.isfinite(result.loss) else None,
            learning_rate=rate,
            grad_norm=result.grad_norm if math.isfinite(result.grad_norm) else None,
            predicted_bases=result.bases,
            tokens_per_second=tokens / (seconds + waited),
            tflops_per_worker=flops / 1e12,
            mfu=flops / self._peak_flops if self._peak_flops else None,
            data_wait_fraction=waited / (seconds + waited),
            memory_gib=peak_memory(self.engine.device) / 2**30,
            skipped=self.state.skipped,
        )

    def _count(self, result: StepResult) -> None:
        if result.finite:
            self.state.updates += 1
            self._skipped_in_a_row = 0
            return
        self.state.skipped += 1
        self._skipped_in_a_row += 1
        if self._skipped_in_a_row == MAX_SKIPPED_IN_A_ROW:
            raise InputError(
                f"{self.config.run.url}: loss or gradient was not finite for {MAX_SKIPPED_IN_A_ROW} steps up to step "
                f"{self.state.step} (loss {result.loss}, gradient norm {result.grad_norm}): lower optim.learning_rate, "
                f"or train with parallel.precision=fp32"
            )

    def _evaluated(self, record: StepRecord, stage: StagePlan) -> StepRecord:
        """The record, with the valid split's score at each of the stage's contexts when an evaluation is due."""
        if record.step % self.config.evaluate.every_steps and record.step != stage.end_step:
            return record
        plans = self.curriculum.contexts[stage.index]
        return with_scores(record, [(plan.context_length, self._score(plan)) for plan in plans])

    def _score_source(self) -> None:
        """The weights that the run begins with, on its own valid split, before they change."""
        first = self.curriculum.stages[0]
        self._enter(first)
        found = total_of(self._score(first))
        if found.bases and self.mesh.is_leader:
            self.report(keep_source_score(self.config.run.url, found, first.context_length))

    def _score_test(self) -> None:
        """The finished weights on the test split, which nothing was chosen by."""
        last = self.curriculum.stages[-1]
        self._enter(last)
        found = score_at(self.engine, last, self.test_windows, self._scored["test"], self.mesh, self.report)
        if total_of(found).bases and self.mesh.is_leader:
            self.report(keep_test_score(self.config.run.url, found, last.context_length))

    def _score(self, plan: StagePlan) -> list[SetScore]:
        return score_at(self.engine, plan, self.valid_windows, self._scored["valid"], self.mesh, self.report)

    def _save(self, record: StepRecord, due: bool, stops: bool) -> None:
        """Begin to save a checkpoint when due; wait for it at the end of the run, or when it stops."""
        ends = stops or record.step == self.curriculum.steps
        if ends or due:
            self.saver.begin(self.state, record.valid_bits_per_base)
        if ends:
            self.report(Doing("saving the last checkpoint"))
            self.saver.finish()

    def _describe_run(self, device: torch.device, shard_sets: list[ShardSet]) -> None:
        url = self.config.run.url
        begun = self.config.run.init_from is not None
        source = self._source or (read_json(url, ENVIRONMENT).get(WEIGHTS_FROM) if begun else None)
        write_json(url, ENVIRONMENT, environment(device) | ({WEIGHTS_FROM: source} if source else {}))
        if not read_json(url, BASELINES):
            train_sets = scored_sets(shard_sets, "train", MAX_TRAIN_BASES, self.config.data.weights)
            keep_baselines(url, self.train_windows, self.valid_windows, train_sets, self._scored["valid"], self.report)
