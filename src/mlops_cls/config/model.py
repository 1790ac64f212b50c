"""Settings of what is trained and how: network, augmentation, loss, optimiser."""

from dataclasses import dataclass, field
from typing import Any

from mlops_cls.choices import ClassWeights, LossName, Schedule, Where
from mlops_cls.rules import Problems, Section, bounded, unused


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
    head_width: int | None = bounded(None, low=1)
    """Hidden units of a head of two layers with ReLU between; default: one linear layer."""
    drop_rate: float = bounded(0.0, low=0, below=1)
    """Dropout before the last layer."""
    freeze: bool = False
    """Train the last layer only; the rest, its BatchNorm statistics included, stays as it is."""
    unfreeze_epoch: int | None = bounded(None, low=1)
    """With freeze: the epoch (from 0) at which the rest starts to train too."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Further arguments of that network in timm, such as drop_path_rate."""

    @property
    def head_only(self) -> bool:
        """Whether nothing but the last layer is ever trained."""
        return self.freeze and self.unfreeze_epoch is None

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
    """albumentations by name with their arguments, in order, and AlternatingFlip; training pictures only."""
    where: Where = Where.auto
    """worker: albumentations, a picture at a time, as they are loaded. device: the same transforms by torch, a batch at
    a time, on the device that trains; the common ones only. auto: device if it has all of them and is faster, which it
    is on CUDA and for pictures up to 32x32, else worker."""
    mixup: float = bounded(0.0, low=0)
    """Alpha of mixup; 0 switches it off."""
    cutmix: float = bounded(0.0, low=0)
    """Alpha of cutmix; 0 switches it off. With both, each batch draws one."""

    def problems(self) -> Problems:
        if not self.transforms and self.where is not Where.auto:
            yield f"augment.where={self.where} would not be used: there are no augment.transforms"


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
