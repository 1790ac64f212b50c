"""Whether a run uses the machines that a job asks for, and can be in them what it was here."""

from collections.abc import Iterator
from pathlib import Path

from mlops_cls.choices import Device, SourceKind, Strategy
from mlops_cls.config import Config

FROM_NETWORK = (SourceKind.download, SourceKind.kaggle, SourceKind.gs, SourceKind.dvc)


def misfits(config: Config, gpus: int, machines: int) -> Iterator[str]:
    """Yield a sentence for each thing that would stand idle or be missing, on machines of `gpus` GPUs each."""
    trainer = config.trainer
    if gpus and config.runtime.device is Device.cpu:
        yield "runtime.device=cpu would leave the GPUs idle: ask for none (--gpus 0), or leave it out"
        return
    if not gpus and config.runtime.device is Device.cuda:
        yield "runtime.device=cuda needs GPUs: ask for some, such as --gpus 1"
    alone = trainer.strategy is Strategy.auto and trainer.devices in (None, 1)
    if alone and machines > 1:
        yield f"{machines} machines were asked for, and the run is on one: add trainer=ddp, or ask for one"
    elif alone and gpus > 1:
        yield f"{gpus} GPUs were asked for, and the run is on one of them: add trainer=ddp, or ask for one"
    elif not alone and gpus and trainer.devices not in (None, gpus):
        yield f"trainer.devices={trainer.devices} is not the {gpus} GPUs that were asked for: leave trainer.devices out"
    elif not alone and not gpus and trainer.devices is None:
        yield f"trainer.strategy={trainer.strategy} on CPUs needs trainer.devices=N, the processes of a machine"


def remarks(config: Config) -> Iterator[str]:
    """Yield what may be otherwise where the job runs."""
    data = config.data
    if data.source in FROM_NETWORK:
        prepare = "python -m mlops_cls.prepare with the same settings"
        yield f"data.source={data.source}: if the queue's machines have no network, type {prepare} here first"
    elif data.root is not None and not Path(data.root).exists():
        yield f"data.root={data.root} does not exist here"
