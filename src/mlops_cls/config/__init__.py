"""Every setting of a run: name, type, default, meaning, and what makes it impossible.

`compose.py` fills these classes from yaml and the command line; notebooks may also build them by hand. A setting that
belongs to only some choices (such as `loss.gamma`) is None unless given, and giving it where it would not be used is
an error.
"""

from dataclasses import dataclass, field, fields

from mlops_cls.choices import ClassWeights, Home, LossName, Precision, Sampling, Strategy, Where
from mlops_cls.config.data import DataConfig
from mlops_cls.config.logger import LoggerConfig
from mlops_cls.config.model import AugmentConfig, LossConfig, ModelConfig, OptimConfig
from mlops_cls.config.run import RunConfig, RuntimeConfig, TrainerConfig
from mlops_cls.errors import ConfigError
from mlops_cls.rules import Problems, bounded, out_of_bounds

__all__ = [
    "AugmentConfig",
    "Config",
    "DataConfig",
    "LoggerConfig",
    "LossConfig",
    "ModelConfig",
    "OptimConfig",
    "RunConfig",
    "RuntimeConfig",
    "TrainerConfig",
]


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
        if self.data.sampler is Sampling.balanced and self.loss.class_weights is ClassWeights.balanced:
            yield "data.sampler=balanced and loss.class_weights=balanced correct the same imbalance twice: choose one"
        at_once = self.runtime.batch_size
        if isinstance(at_once, int) and at_once > 0 and self.data.batch_size % at_once:
            yield (
                f"runtime.batch_size={at_once} does not divide data.batch_size={self.data.batch_size}: a step is taken "
                "in equal parts, or all at once"
            )
        yield from self._sharding_problems()
        if self.data.home is Home.device and self.augment.where is Where.worker:
            yield "data.home=device leaves no pictures to loader processes: set augment.where=device or data.home=disk"
        unfreeze, epochs = self.model.unfreeze_epoch, self.trainer.max_epochs
        if unfreeze is not None and unfreeze >= epochs and self.trainer.budget is None:
            yield f"model.unfreeze_epoch={unfreeze} would not be used: the run has trainer.max_epochs={epochs}"

    def _sharding_problems(self) -> Problems:
        if self.trainer.strategy is not Strategy.fsdp:
            return
        if self.model.freeze:
            yield "model.freeze=true trains a head that trainer=fsdp keeps in parts: use trainer=ddp"
        if self.runtime.precision is Precision.fp16:
            yield "runtime.precision=fp16 is impossible with trainer=fsdp: use bf16 or fp32"
        if self.runtime.compile is not False:
            yield "trainer.strategy=fsdp does not go with compilation: set runtime.compile=false (trainer=fsdp does)"
