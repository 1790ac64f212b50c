"""The only code that asks for hardware: device, precision and memory format of a run."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mlops_cls.choices import Device, Precision
from mlops_cls.config import RuntimeConfig
from mlops_cls.errors import ConfigError

_LIGHTNING_PRECISION = {Precision.fp32: "32-true", Precision.bf16: "bf16-mixed", Precision.fp16: "16-mixed"}


@dataclass(frozen=True, slots=True)
class Runtime:
    """Settings as they are used, with nothing left to choose."""

    device: Device
    precision: Precision
    channels_last: bool

    @classmethod
    def resolve(cls, config: RuntimeConfig, network: nn.Module | None = None) -> "Runtime":
        """Return what the config asks for on this machine; `network` helps to choose where a choice is left.

        Raises:
            ConfigError: the device is not here, or cannot compute in that precision.
        """
        device = _device(config.device)
        precision = config.precision
        if precision is Precision.auto:
            precision = Precision.bf16 if _faster_in_bf16(device, network) else Precision.fp32
        if precision is Precision.fp16 and device is Device.cpu:
            raise ConfigError("runtime.precision=fp16 needs a GPU and this machine has none: use bf16 or fp32")
        return cls(device, precision, config.channels_last)

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.device.value)

    @property
    def lightning(self) -> dict[str, Any]:
        """Return the arguments of `pytorch_lightning.Trainer` that say the same."""
        return {"accelerator": self.device.value, "devices": 1, "precision": _LIGHTNING_PRECISION[self.precision]}

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def describe(self) -> dict[str, Any]:
        """Return plain values for the provenance, with the device's own name."""
        name = torch.cuda.get_device_name() if self.device is Device.cuda else self.device.value
        return {
            "device": self.device.value,
            "device_name": name,
            "precision": self.precision.value,
            "channels_last": self.channels_last,
            "threads": torch.get_num_threads(),
        }


def _faster_in_bf16(device: Device, network: nn.Module | None) -> bool:
    if device is Device.cuda:
        return bool(torch.cuda.is_bf16_supported())
    if device is not Device.cpu or network is None or not _cpu_computes_bf16():
        return False
    # Measured on AVX512-BF16: plain convolutions 1.7 to 1.9 times as fast, grouped ones down to a fifteenth.
    return not any(module.groups > 1 for module in network.modules() if isinstance(module, nn.Conv2d))


def _cpu_computes_bf16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _device(wanted: Device) -> Device:
    present = {Device.cuda: torch.cuda.is_available(), Device.mps: torch.backends.mps.is_available(), Device.cpu: True}
    if wanted is Device.auto:
        return next(device for device, here in present.items() if here)
    if not present[wanted]:
        here = ", ".join(device for device, there in present.items() if there)
        build = f"torch {torch.__version__} built for CUDA {torch.version.cuda}" if wanted is Device.cuda else "torch"
        raise ConfigError(f"runtime.device={wanted}: {build} finds no such device here; allowed: auto, {here}")
    return wanted
