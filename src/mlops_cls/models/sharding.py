"""A network of which each process keeps a part."""

from collections.abc import Iterator

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard


def shard(network: nn.Module, mesh: DeviceMesh) -> None:
    """Keep of each parameter only this process's part; a block's are gathered while it computes (FSDP2).

    After PyTorch's own advice: https://docs.pytorch.org/tutorials/intermediate/FSDP_tutorial.html
    """
    for block in _blocks(network):
        fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)


def is_sharded(network: nn.Module) -> bool:
    """Tell whether each process keeps only a part of the network."""
    return isinstance(network, FSDPModule)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield what the outermost lists of the network hold: a transformer's blocks, a ResNet's."""
    for child in module.children():
        if isinstance(module, nn.Sequential | nn.ModuleList):
            yield child
        else:
            yield from _blocks(child)
