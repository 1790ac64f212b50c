"""Every setting of a run: name, type, default, meaning, and what makes it impossible.

`compose.py` fills these classes from yaml and the command line; notebooks may also build them by hand. A setting that
belongs to only some choices (such as `loss.gamma`) is None unless given, and giving it where it would not be used is
an error.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from mlops_cls.choices import (
    BadPictures,
    Channels,
    ClassWeights,
    Device,
    LoggerName,
    LossName,
    Monitor,
    Precision,
    Resize,
    Schedule,
    SourceKind,
    SplitBy,
    WandbMode,
)
from mlops_cls.errors import ConfigError
from mlops_cls.rules import Problems, Section, bounded, out_of_bounds, unused


@dataclass(kw_only=True, slots=True)
class DataConfig(Section):
    """Which pictures, in which geometry, split how."""

    name: str = "digits"
    """The data set: digits, fmnist, seabed, skin_lesion, emotion, dog_breed, folder or table."""
    source: SourceKind = SourceKind.local
    """local: the files in root. synthetic: a small archive in the data set's own layout, to rehearse without it."""
    root: str | None = None
    """Where the raw pictures lie: a folder or zip (default data/NAME), or for `table` the CSV or Parquet file."""
    store: str = "prepared"
    """Folder that keeps prepared data sets; a second run finds its own there."""
    size: int | None = bounded(None, low=1)
    """Side of the square the network sees, in pixels; default: the pretrained network's, else near the data's."""
    resize: Resize = Resize.crop
    """Short side to size then centre crop, stretch both sides, or fit inside and pad with black."""
    channels: Channels = Channels.auto
    """Grey or RGB; auto: grey when every picture is grey."""
    split: SplitBy = SplitBy.auto
    """How train, val and test are made; auto: as shipped, else by group where there are groups, else stratified."""
    val_fraction: float | None = bounded(None, above=0, below=1)
    """Share of the pictures that go to val, where the data set ships without one (default 0.15)."""
    test_fraction: float | None = bounded(None, above=0, below=1)
    """Share of the pictures that go to test, where the data set ships without one (default 0.15)."""
    subsample: float = bounded(1.0, above=0, high=1)
    """Share of all pictures to use, drawn per class before the split."""
    seed: int = 0
    """Seed of subsample and split; apart from the run's seed, so that runs compare on the same test set."""
    on_bad: BadPictures = BadPictures.fail
    """What to do with unreadable files: fail and name them, or skip and count them."""
    batch_size: int = bounded(64, low=1)
    """Pictures per step and device."""
    workers: int | None = bounded(None, low=0)
    """Loader processes; default: none unless pictures are augmented and cores are free."""
    path_column: str | None = None
    """Table only: column with the picture's path, relative to the table (default path)."""
    label_column: str | None = None
    """Table only: column with the class name (default label)."""
    split_column: str | None = None
    """Table only: column with train, val or test."""
    group_column: str | None = None
    """Table only: column whose equal values must stay in one split, such as a patient."""

    def problems(self) -> Problems:
        if self.name != "table":
            columns = "path_column label_column split_column group_column"
            yield from unused(self, "data", columns, f"only data=table reads columns, this is data={self.name}")
        if self.name == "digits":
            yield from unused(self, "data", "root", "data=digits comes with scikit-learn")
        if self.source is SourceKind.synthetic:
            yield from unused(self, "data", "root", "data.source=synthetic writes its own pictures")
            if self.name in ("digits", "folder", "table"):
                yield f"data.source=synthetic would not be used: data={self.name} has no layout of its own to rehearse"
        if self.name in ("folder", "table") and self.root is None:
            yield f"data={self.name} needs data.root=PATH"
        if (self.val_fraction or 0) + (self.test_fraction or 0) >= 1:
            fractions = f"data.val_fraction={self.val_fraction}, data.test_fraction={self.test_fraction}"
            yield f"{fractions}: nothing would be left to train on"


@dataclass(kw_only=True, slots=True)
class ModelConfig(Section):
    """Which network, starting from what."""

    name: str = "resnet18"
    """Any network timm knows, among them ours: baseline_cnn, mini_resnet, two_conv_cnn."""
    pretrained: bool = False
    """Start from timm's published weights (fetched from the hub once)."""
    weights: str | None = None
    """Start from this local file instead: safetensors, a state dict, or one of our checkpoints."""
    small_stem: bool = False
    """ResNets and the like: a first convolution of 3x3 without stride, for pictures below about 64 pixels."""
    drop_rate: float = bounded(0.0, low=0, below=1)
    """Dropout before the last layer."""
    freeze: bool = False
    """Train the last layer only; the rest, its BatchNorm statistics included, stays as it is."""
    unfreeze_epoch: int | None = bounded(None, low=1)
    """With freeze: the epoch (from 0) at which the rest starts to train too."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Further arguments of that network in timm, such as drop_path_rate."""

    def problems(self) -> Problems:
        if self.pretrained and self.weights is not None:
            yield f"model.pretrained=true and model.weights={self.weights} exclude each other: give one of them"
        if not self.freeze:
            yield from unused(self, "model", "unfreeze_epoch", "it needs model.freeze=true")
        elif not self.pretrained and self.weights is None:
            yield "model.freeze=true would freeze random weights: add model.pretrained=true or model.weights=FILE"


@dataclass(kw_only=True, slots=True)
class AugmentConfig(Section):
    """How training pictures are varied."""

    transforms: list[dict[str, Any]] = field(default_factory=list)
    """albumentations by name with their arguments, in order; training pictures only."""
    mixup: float = bounded(0.0, low=0)
    """Alpha of mixup; 0 switches it off."""
    cutmix: float = bounded(0.0, low=0)
    """Alpha of cutmix; 0 switches it off. With both, each batch draws one."""


@dataclass(kw_only=True, slots=True)
class LossConfig(Section):
    """What training minimises."""

    name: LossName = LossName.cross_entropy
    """cross_entropy, focal or bce (one sigmoid per class)."""
    smoothing: float | None = bounded(None, low=0, below=1)
    """Label smoothing of cross_entropy and bce (default 0)."""
    gamma: float | None = bounded(None, low=0)
    """Focusing exponent of focal (default 2)."""
    class_weights: ClassWeights = ClassWeights.none
    """balanced: a class counts in inverse proportion to its training pictures (not with bce)."""

    def problems(self) -> Problems:
        if self.name is not LossName.focal:
            yield from unused(self, "loss", "gamma", f"only loss.name=focal reads it, this is {self.name}")
        else:
            yield from unused(self, "loss", "smoothing", "loss.name=focal has none")
        if self.name is LossName.bce and self.class_weights is not ClassWeights.none:
            yield "loss.class_weights=balanced would not be used: loss.name=bce has none"


@dataclass(kw_only=True, slots=True)
class OptimConfig(Section):
    """How weights follow the gradient."""

    name: str = "adamw"
    """Any optimiser timm knows: adamw, adam, sgd (with Nesterov's momentum), lamb, lion, …"""
    lr: float = bounded(1e-3, above=0)
    """Highest learning rate of the schedule."""
    weight_decay: float = bounded(0.05, low=0)
    """Weight decay; biases and normalisation are left out."""
    momentum: float | None = bounded(None, above=0, below=1)
    """For optimisers that have one (default 0.9)."""
    betas: list[float] | None = None
    """For optimisers that have them."""
    layer_decay: float | None = bounded(None, above=0, high=1)
    """Factor on the learning rate per layer below the head, for fine-tuning (such as 0.75)."""
    schedule: Schedule = Schedule.cosine
    """cosine, onecycle, step or none; counted in steps, not epochs."""
    warmup_epochs: float | None = bounded(None, low=0)
    """Linear warm-up from zero, for cosine, step and none (default 0)."""
    step_epochs: int | None = bounded(None, low=1)
    """schedule=step: epochs between two drops (default: a third of the run)."""
    step_factor: float | None = bounded(None, above=0, below=1)
    """schedule=step: factor of each drop (default 0.1)."""

    def problems(self) -> Problems:
        if self.schedule is not Schedule.step:
            yield from unused(
                self, "optim", "step_epochs step_factor", f"it belongs to schedule=step, not {self.schedule}"
            )
        if self.schedule is Schedule.onecycle:
            yield from unused(self, "optim", "warmup_epochs", "schedule=onecycle has its own warm-up")


@dataclass(kw_only=True, slots=True)
class TrainerConfig(Section):
    """How long, and what is kept."""

    max_epochs: int = bounded(10, low=1)
    """Passes over the training pictures."""
    patience: int | None = bounded(None, low=1)
    """Stop after this many epochs without a better val score; default: never."""
    monitor: Monitor = Monitor.loss
    """The val score that picks the best checkpoint."""
    accumulate: int = bounded(1, low=1)
    """Batches per optimiser step."""
    clip_norm: float | None = bounded(None, above=0)
    """Largest norm of the gradient; default: not clipped."""
    ema: float | None = bounded(None, above=0, below=1)
    """Decay of the exponential moving average of the weights (such as 0.999); default: no average."""
    deterministic: bool = False
    """Refuse operations that are not reproducible on the device."""
    limit_batches: int | None = bounded(None, low=1)
    """Only this many training batches an epoch, for a rehearsal."""
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    """Further Lightning callbacks, each with `_target_` and its arguments."""


@dataclass(kw_only=True, slots=True)
class RuntimeConfig(Section):
    """On what the run computes."""

    device: Device = Device.auto
    """auto: CUDA, else Apple's MPS, else CPU."""
    precision: Precision = Precision.auto
    """auto: bf16 where it is faster, which is on CUDA, and on CPUs that compute it for networks without grouped
    convolutions; else fp32. Evaluation and prediction are always fp32."""
    channels_last: bool = True
    """Memory format of training; faster for most convolutional networks."""

    def problems(self) -> Problems:
        if self.device is Device.cpu and self.precision is Precision.fp16:
            yield "runtime.precision=fp16 needs a GPU: with runtime.device=cpu use bf16 or fp32"


@dataclass(kw_only=True, slots=True)
class LoggerConfig(Section):
    """Who else hears of the run."""

    name: LoggerName = LoggerName.wandb
    """wandb or none; metrics.csv is written in either case."""
    mode: WandbMode | None = None
    """auto (default): online where there is a W&B key, else offline."""
    project: str | None = None
    """W&B project (default mlops_cls)."""
    entity: str | None = None
    """W&B user or team (default: your own)."""
    group: str | None = None
    """W&B group of the run."""
    tags: list[str] | None = None
    """W&B tags of the run."""

    def problems(self) -> Problems:
        if self.name is LoggerName.none:
            yield from unused(self, "logger", "mode project entity group tags", "logger=none")


@dataclass(kw_only=True, slots=True)
class RunConfig(Section):
    """Where the run is kept."""

    folder: str = "runs"
    """Where run folders are made; `latest` there points to the newest."""
    name: str = "run"
    """Ends the run folder's name."""

    def problems(self) -> Problems:
        if not self.name or set(self.name) & set('/\\:*?"<>|') or self.name.startswith("."):
            yield f"run.name={self.name!r} is impossible: it ends a folder's name, use letters, digits, - and _"


@dataclass(kw_only=True, slots=True)
class Config:
    """All settings of a run; built only if they are possible together and all of them are used."""

    seed: int = bounded(0, low=0, below=2**32)
    """Seed of weights, batch order and augmentation."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Raise `ConfigError` naming every impossible or unused setting at once."""
        problems = list(self._problems())
        if problems:
            raise ConfigError("\n".join(problems))

    def _problems(self) -> Problems:
        yield from out_of_bounds(self, "")
        for section in fields(self)[1:]:
            value = getattr(self, section.name)
            yield from out_of_bounds(value, f"{section.name}.")
            yield from value.problems()
        if self.loss.name is LossName.focal and (self.augment.mixup or self.augment.cutmix):
            yield "augment.mixup and augment.cutmix need soft labels: use loss.name=cross_entropy or bce, not focal"
        unfreeze, epochs = self.model.unfreeze_epoch, self.trainer.max_epochs
        if unfreeze is not None and unfreeze >= epochs:
            yield f"model.unfreeze_epoch={unfreeze} would not be used: the run has trainer.max_epochs={epochs}"
