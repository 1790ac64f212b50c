"""The only code that asks for hardware: device, precision, memory format and compilation of a run."""

import platform
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn

from mlops_cls.choices import Device, Precision
from mlops_cls.config import RuntimeConfig
from mlops_cls.errors import ConfigError

_LIGHTNING_PRECISION = {Precision.fp32: "32-true", Precision.bf16: "bf16-mixed", Precision.fp16: "16-mixed"}
_DTYPE = {Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}


@dataclass(frozen=True, slots=True)
class Runtime:
    """Settings as they are used, with nothing left to choose."""

    device: Device
    precision: Precision
    channels_last: bool
    compile: bool = False

    @classmethod
    def resolve(cls, config: RuntimeConfig, network: nn.Module | None = None) -> "Runtime":
        """Return what the config asks for on this machine; what it leaves open follows a rule, without measuring.

        `network` helps to choose the precision: without it, a CPU gets fp32.

        Raises:
            ConfigError: the device is not here, or cannot compute in that precision.
        """
        device = _device(config.device)
        precision = config.precision
        if precision is Precision.auto:
            precision = Precision.bf16 if _faster_in_bf16(device, network) else Precision.fp32
        if precision is Precision.fp16 and device is Device.cpu:
            raise ConfigError("runtime.precision=fp16 needs a GPU and this machine has none: use bf16 or fp32")
        return cls(device, precision, config.channels_last is not False, config.compile is True)

    def alternatives(self, config: RuntimeConfig) -> list["Runtime"]:
        """Return every runtime that the config leaves open here, none compiled; the first is the one most like this."""
        precisions = _computed_on(self.device) if config.precision is Precision.auto else [self.precision]
        formats = (True, False) if config.channels_last is None else (self.channels_last,)
        eager = replace(self, compile=False)
        found = [replace(eager, precision=p, channels_last=last) for p, last in product(precisions, formats)]
        return sorted(found, key=lambda runtime: runtime != eager)

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

    def autocast(self) -> torch.autocast:
        """Return the context in which Lightning computes a training step."""
        dtype = _DTYPE.get(self.precision)
        return torch.autocast(self.device.value, dtype=dtype, enabled=dtype is not None)

    def synchronise(self) -> None:
        """Wait for the device to finish, so that a clock can be read."""
        if self.device is Device.cuda:
            torch.cuda.synchronize()
        elif self.device is Device.mps:
            torch.mps.synchronize()

    def __str__(self) -> str:
        words = [self.precision.value, "channels last" if self.channels_last else "channels first"]
        return ", ".join([*words, "compiled"] if self.compile else words)

    def describe(self) -> dict[str, Any]:
        """Return plain values for the provenance, with the device's own name."""
        return {
            "device": self.device.value,
            "device_name": device_name(self.device),
            "precision": self.precision.value,
            "channels_last": self.channels_last,
            "compile": self.compile,
            "threads": torch.get_num_threads(),
        }


def is_here(device: Device) -> bool:
    """Tell whether torch finds such a device on this machine."""
    return _present()[device]


def device_name(device: Device) -> str:
    """Return what the maker calls the device."""
    if device is Device.cuda:
        return torch.cuda.get_device_name()
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def free_memory(device: torch.device) -> int:
    """Return the bytes that a run could still take on the device."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    return int(psutil.virtual_memory().available)


def _faster_in_bf16(device: Device, network: nn.Module | None) -> bool:
    if device is Device.cuda:
        return bool(torch.cuda.is_bf16_supported())
    if device is not Device.cpu or network is None or not _cpu_computes_bf16():
        return False
    # Measured on AVX512-BF16: plain convolutions 1.7 to 1.9 times as fast, grouped ones down to a fifteenth.
    return not any(module.groups > 1 for module in network.modules() if isinstance(module, nn.Conv2d))


def _computed_on(device: Device) -> list[Precision]:
    """Return the precisions that the device has circuits for, and can train in without further ado."""
    if device is Device.cuda:
        return [Precision.fp32, Precision.bf16 if torch.cuda.is_bf16_supported() else Precision.fp16]
    bf16 = device is Device.cpu and _cpu_computes_bf16()
    return [Precision.fp32, Precision.bf16] if bf16 else [Precision.fp32]


def _cpu_computes_bf16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _present() -> dict[Device, bool]:
    return {Device.cuda: torch.cuda.is_available(), Device.mps: torch.backends.mps.is_available(), Device.cpu: True}


def _device(wanted: Device) -> Device:
    present = _present()
    if wanted is Device.auto:
        return next(device for device, here in present.items() if here)
    if not present[wanted]:
        here = ", ".join(device for device, there in present.items() if there)
        build = f"torch {torch.__version__} built for CUDA {torch.version.cuda}" if wanted is Device.cuda else "torch"
        raise ConfigError(f"runtime.device={wanted}: {build} finds no such device here; allowed: auto, {here}")
    return wanted
