"""The sections of a recipe. One sentence under each field states its unit, scope and special values."""

from dataclasses import dataclass, field
from typing import Literal

Part = Literal["embedding", "filter", "hyena", "mlp", "norm"]
"""A part of the model that can be frozen: the embedding with the head tied to it, the implicit filters, the rest of the
Hyena operators, the MLPs, the norms."""
Tracker = Literal["wandb", "mlflow"]
"""A service that keeps the curves of runs: Weights & Biases, MLflow."""
LOWEST = "lowest"
"""Metadata of a number that may be written as a range, {min: 2, max: 8}: the key that its lower end is for."""


@dataclass(frozen=True)
class RunSection:
    """Where a run is stored and how it starts."""

    url: str
    """Directory or bucket URL that receives recipe, metrics, checkpoints and report."""
    seed: int = 2222
    """Seed of initialisation, data order and dropout; 2222 is the published runs' seed."""
    resume: Literal["auto", "never", "force"] = "auto"
    """auto: continue the run at `url` if it belongs to this recipe; never: `url` must be free;
    force: continue even if the recipe has changed (the model may not)."""
    init_from: str | None = None
    """Run, checkpoint or import (`hdna import`) whose weights a new run begins with; moments, data and schedule are
    new."""
    trackers: list[Tracker] = field(default_factory=list)
    """Services that get the run's curves too: wandb, mlflow; their own environment variables say where and as whom."""
    project: str | None = None
    """The trackers' project (W&B) or experiment (MLflow); null: that of WANDB_PROJECT or MLFLOW_EXPERIMENT_NAME, or
    else hdna."""


@dataclass(frozen=True)
class ModelConfig:
    """Geometry of HyenaDNA. Field names are those of the published `config.json` files."""

    d_model: int = 128
    """Width of the residual stream."""
    n_layer: int = 2
    """Number of blocks (Hyena operator + MLP)."""
    order: int = 2
    """Order of the Hyena recurrence: `order` gates, `order - 1` long convolutions."""
    l_max: int = 1026
    """Longest context in tokens. The implicit filter depends on it, so a curriculum fixes it at its final length."""
    extended_from: list[int] = field(default_factory=list)
    """l_max before each extension to a longer context, the first one first; a run that begins from weights of a shorter
    context (run.init_from) fills it in."""
    filter_positions: Literal["squeezed", "absolute", "rescaled"] = "squeezed"
    """What an extension makes of the filter's positions: squeezed keeps the first half and spreads the others over the
    second; absolute keeps all and goes on beyond; rescaled stretches all."""
    shift: float = 0.05
    """Constant added to the filter's exponential modulation: 0.05 in the published port, 0.0 in the original
    training code."""
    embed_dropout: float = 0.1
    """Probability of dropping an embedding element in training."""
    d_inner: int | None = None
    """Width of the MLP's hidden layer; null means 4 * d_model."""
    emb_dim: int = 5
    """Positional features fed to the implicit filter: t and (emb_dim - 1) / 2 complex exponentials; odd."""
    filter_order: int = 64
    """Hidden width of the implicit filter's MLP."""
    w: float = 10.0
    """Initial frequency of the implicit filter's sine activations."""

    @property
    def mlp_width(self) -> int:
        """Hidden width of the block's MLP."""
        return self.d_inner or 4 * self.d_model


@dataclass(frozen=True)
class DataConfig:
    """Which shard sets are read, and how a crop becomes a training sample."""

    shards: list[str]
    """URLs of shard sets (`hdna prep shards --out URL`)."""
    weights: list[float] = field(default_factory=list)
    """Relative share of samples from each shard set, in any scale; empty: by number of bases."""
    reverse_complement: bool = True
    """Read each crop on a strand drawn by a hash of (seed, epoch, crop)."""
    ignore_n: bool = True
    """Leave N out of the loss, like every code but A, C, G, T; false: N is a target, as in the reference."""
    repeat_weight: float = 1.0
    """Weight in the loss of soft-masked (lower-case, repeat) bases."""


@dataclass(frozen=True)
class Stage:
    """One stage of the curriculum: half-open in tokens seen, from the end of the stage before to `until_tokens`."""

    context_length: int
    """Positions the model sees in one sample."""
    until_tokens: int
    """Tokens seen at which the stage ends; the step that reaches them is its last."""
    micro_batch_size: int = 1
    """Samples per forward pass on each data rank."""
    sequence_parallel: int = 1
    """Ranks that share one sample, each with a slice of context_length / sequence_parallel positions; at most
    parallel.workers."""
    shorter_contexts: list[int] = field(default_factory=list)
    """Other context lengths of the stage's steps, shorter than context_length: what was learned at them is kept up. A
    step has one, with as many more samples."""
    context_weights: list[float] = field(default_factory=list)
    """Relative shares of the stage's steps, in any scale: of context_length, then of each of shorter_contexts; empty:
    equal."""


@dataclass(frozen=True)
class OptimConfig:
    """AdamW (0.9, 0.999) and its schedule, a pure function of tokens seen."""

    learning_rate: float = 6e-4
    """Peak learning rate."""
    weight_decay: float = 0.1
    """Decoupled weight decay of projections, short convolution and MLP; filter, norms, biases, embedding have none."""
    warmup_fraction: float = 0.01
    """Share of all tokens over which the learning rate rises linearly; a cosine then lowers it to a tenth."""
    clip_norm: float = 1.0
    """Largest global gradient norm."""
    filter_learning_rate: float | None = None
    """Peak learning rate of the implicit filters; null: as everything else."""
    frozen: list[Part] = field(default_factory=list)
    """Parts that keep the weights that the run begins with: embedding (with its head), filter, hyena, mlp, norm."""
    global_batch_tokens: int = 65536
    """Tokens per optimizer step over all ranks, in every stage."""


@dataclass(frozen=True)
class ParallelConfig:
    """How work is distributed. Nothing here changes the result beyond rounding (the layout law)."""

    workers: int = field(default=1, metadata={LOWEST: "min_workers"})
    """Training processes; one GPU each, if there are GPUs. {min: 2, max: 8}: as many as there are, and others
    once they come; a run that loses some continues with the rest, from the newest checkpoint."""
    min_workers: int | None = None
    """The fewest workers that the run starts or continues with; null: all of `workers`."""
    zero_stage: int = 1
    """DeepSpeed ZeRO: 0 nothing, 1 optimizer, 2 + gradients, 3 + parameters partitioned over the workers."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """bf16: matrix products in bfloat16, parameters, filter and FFT in fp32; fp32: everything in fp32."""
    long_conv: Literal["all_to_all", "distributed_fft"] = "all_to_all"
    """How sequence ranks share a long convolution: all_to_all exchanges positions for channels, with the least traffic;
    distributed_fft leaves channels in place, for more ranks than channels or when memory is tightest."""
    activation_checkpointing: bool = False
    """Recompute each block in the backward pass instead of keeping its activations."""
    collective_timeout_s: int = 1800
    """Seconds that a rank waits for the others in a collective before the run ends with an error."""
    keep_freed_memory: bool = True
    """On CPUs with glibc: keep freed memory for the next tensor instead of returning it to the system."""
    cuda_graphs: bool = False
    """On CUDA GPUs: record the blocks of a stage's first micro step and replay them as one launch, without sequence
    parallelism, ZeRO 3 or shorter_contexts, and up to 262,144 tokens a micro step. Not yet seen under DeepSpeed."""


@dataclass(frozen=True)
class CheckpointConfig:
    """When the run is saved, and which checkpoints are kept."""

    every_steps: int | None = None
    """Steps between checkpoints; one more is written at the end, and when the run is told to stop. null: by the time
    that a save is measured to cost, once a minute at most."""
    keep_last: int = 3
    """Newest checkpoints that are kept."""
    keep_every: int = 0
    """Checkpoints at multiples of this many steps are kept for good; 0: none."""
    grace_s: int = 60
    """Seconds for a last checkpoint after Ctrl-C or SIGTERM; then the run ends without one."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Bits per base on the valid split during training."""

    every_steps: int = 50
    """Steps between evaluations; each stage's last step is always evaluated."""
    max_bases: int = 1_000_000
    """Bases of the valid split to score, shared out over the assemblies by their weight."""


@dataclass(frozen=True)
class RunConfig:
    """A complete recipe."""

    run: RunSection
    model: ModelConfig
    data: DataConfig
    curriculum: list[Stage]
    """Stages in the order in which they are trained."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
