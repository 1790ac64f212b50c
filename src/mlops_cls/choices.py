"""The closed choices of the configuration; a value outside its list is refused when the config is composed."""

from enum import StrEnum


class SplitBy(StrEnum):
    auto = "auto"
    stratified = "stratified"
    group = "group"
    shipped = "shipped"


class Resize(StrEnum):
    crop = "crop"
    stretch = "stretch"
    pad = "pad"


class Channels(StrEnum):
    auto = "auto"
    grey = "grey"
    rgb = "rgb"


class BadPictures(StrEnum):
    fail = "fail"
    skip = "skip"


class LossName(StrEnum):
    cross_entropy = "cross_entropy"
    focal = "focal"
    bce = "bce"


class ClassWeights(StrEnum):
    none = "none"
    balanced = "balanced"


class Schedule(StrEnum):
    cosine = "cosine"
    onecycle = "onecycle"
    step = "step"
    none = "none"


class Monitor(StrEnum):
    loss = "loss"
    accuracy = "accuracy"
    balanced_accuracy = "balanced_accuracy"
    macro_f1 = "macro_f1"


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Precision(StrEnum):
    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class LoggerName(StrEnum):
    wandb = "wandb"
    none = "none"


class WandbMode(StrEnum):
    auto = "auto"
    online = "online"
    offline = "offline"
