"""The closed choices of the configuration; a value outside its list is refused when the config is composed."""

from enum import StrEnum


class SourceKind(StrEnum):
    """Where raw pictures come from."""

    local = "local"
    download = "download"
    kaggle = "kaggle"
    gs = "gs"
    dvc = "dvc"
    synthetic = "synthetic"


class SplitBy(StrEnum):
    """What decides which split a picture goes to."""

    auto = "auto"
    stratified = "stratified"
    group = "group"
    shipped = "shipped"


class Strategy(StrEnum):
    """How several processes train one network."""

    auto = "auto"
    ddp = "ddp"
    fsdp = "fsdp"


class Sampling(StrEnum):
    """Which training pictures an epoch draws."""

    shuffle = "shuffle"
    balanced = "balanced"


class Resize(StrEnum):
    """How a picture becomes a square."""

    crop = "crop"
    stretch = "stretch"
    pad = "pad"


class Channels(StrEnum):
    """Grey, RGB, or as the data are."""

    auto = "auto"
    grey = "grey"
    rgb = "rgb"


class BadPictures(StrEnum):
    """What happens to files that cannot be used."""

    fail = "fail"
    skip = "skip"


class Home(StrEnum):
    """Where the pictures of a run lie while it trains."""

    auto = "auto"
    device = "device"
    memory = "memory"
    disk = "disk"


class Where(StrEnum):
    """What augments training pictures: processes that load them, or the device that trains."""

    auto = "auto"
    worker = "worker"
    device = "device"


class CheckPolicy(StrEnum):
    """What is done about faults of the data: refuse leaks, only say so, or say nothing."""

    fail = "fail"
    warn = "warn"
    off = "off"


class LossName(StrEnum):
    """What training minimises."""

    cross_entropy = "cross_entropy"
    focal = "focal"
    bce = "bce"


class ClassWeights(StrEnum):
    """How much a class counts in the loss."""

    none = "none"
    balanced = "balanced"


class Schedule(StrEnum):
    """How the learning rate changes over the run."""

    cosine = "cosine"
    onecycle = "onecycle"
    step = "step"
    none = "none"


class Monitor(StrEnum):
    """The val score that picks the best checkpoint."""

    loss = "loss"
    accuracy = "accuracy"
    balanced_accuracy = "balanced_accuracy"
    macro_f1 = "macro_f1"


class Device(StrEnum):
    """Where tensors live."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Precision(StrEnum):
    """Numbers that training computes with."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class LoggerName(StrEnum):
    """Which tracking service a run reports to."""

    wandb = "wandb"
    tensorboard = "tensorboard"
    mlflow = "mlflow"
    none = "none"


class WandbMode(StrEnum):
    """Whether W&B uploads while the run goes on."""

    auto = "auto"
    online = "online"
    offline = "offline"


class Resume(StrEnum):
    """What to do with an unfinished run of the same settings."""

    auto = "auto"
    never = "never"
    must = "must"


class Upload(StrEnum):
    """Which checkpoints W&B is given when a run ends."""

    best = "best"
    last = "last"
    none = "none"
