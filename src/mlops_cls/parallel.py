"""How Lightning trains in several processes: one copy of the network each (DDP), or one among all (FSDP)."""

from typing import Any

import pytorch_lightning as pl
import timm.layers
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from pytorch_lightning.plugins.layer_sync import LayerSync
from pytorch_lightning.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch import distributed, nn

from mlops_cls import processes
from mlops_cls.choices import Device
from mlops_cls.choices import Strategy as Choice
from mlops_cls.config import TrainerConfig
from mlops_cls.errors import ConfigError
from mlops_cls.runtime import Runtime


def trainer_arguments(runtime: Runtime, config: TrainerConfig, *, frozen: bool) -> dict[str, Any]:
    """Return the arguments of `pytorch_lightning.Trainer` that say on what it computes, and in which processes.

    `frozen`: whether a part of the network is frozen at times.
    """
    if not processes.started_as_one_of_several():
        return runtime.lightning
    plugins: list[Any] = [Met()]
    if config.sync_batchnorm:
        plugins.append(SharedBatchNorm())
    here = processes.on_this_machine()
    several = {"devices": here, "num_nodes": processes.number() // here, "strategy": _strategy(config, frozen=frozen)}
    return runtime.lightning | several | {"plugins": plugins}


def check_parallel(config: TrainerConfig, device: Device) -> None:
    """Refuse what processes on this device cannot do together.

    Raises:
        ConfigError: naming the setting, and what to type.
    """
    if config.sync_batchnorm and device is not Device.cuda:
        raise ConfigError("trainer.sync_batchnorm=true needs GPUs, and this run is on the CPU: leave it out")
    if device is Device.mps and processes.started_as_one_of_several():
        raise ConfigError("several processes cannot share an Apple GPU: set runtime.device=cpu, or trainer=default")


def _strategy(config: TrainerConfig, *, frozen: bool) -> Strategy:
    if config.strategy is Choice.fsdp:
        number = processes.number()
        return ModelParallelStrategy(number, tensor_parallel_size=1, save_distributed_checkpoint=False)
    # What is frozen has no gradient to wait for.
    return DDPStrategy(find_unused_parameters=frozen)


class Met(ClusterEnvironment):
    """Tells Lightning what the processes know of themselves; they have met before any Trainer is made."""

    creates_processes_externally = True
    main_address = ""
    main_port = 0

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return processes.number()

    def set_world_size(self, size: int) -> None:
        assert size == self.world_size()

    def global_rank(self) -> int:
        return processes.rank()

    def set_global_rank(self, rank: int) -> None:
        assert rank == self.global_rank()

    def local_rank(self) -> int:
        return processes.local_rank()

    def node_rank(self) -> int:
        return processes.rank() // processes.on_this_machine()


class SharedBatchNorm(LayerSync):
    """BatchNorm over the pictures of all processes; by timm, as torch's own way drops activations of timm's layers."""

    def apply(self, model: nn.Module) -> nn.Module:
        converted: nn.Module = timm.layers.convert_sync_batchnorm(model)
        return converted

    def revert(self, model: nn.Module) -> nn.Module:
        return model


class Concert(pl.Callback):
    """What several processes need beside equal gradients: the same buffers."""

    def on_validation_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # All score with the first one's BatchNorm statistics, which are those that a checkpoint keeps.
        if trainer.world_size > 1:
            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)
