"""Machine types of Google Cloud, and which GPUs go with which.

https://cloud.google.com/vertex-ai/docs/training/configure-compute, https://cloud.google.com/compute/docs/gpus.
"""

import re
from dataclasses import dataclass

from mlops_cls.errors import ConfigError, unknown_name
from mlops_cls.google_cloud.prices import gpu_price, machine_price

GPUS = {
    "t4": "NVIDIA_TESLA_T4",
    "p4": "NVIDIA_TESLA_P4",
    "p100": "NVIDIA_TESLA_P100",
    "v100": "NVIDIA_TESLA_V100",
    "l4": "NVIDIA_L4",
    "a100": "NVIDIA_TESLA_A100",
    "a100-80gb": "NVIDIA_A100_80GB",
    "h100": "NVIDIA_H100_80GB",
}
"""Short name to that of the API."""
ATTACHED = {"t4": (1, 2, 4), "p4": (1, 2, 4), "p100": (1, 2, 4), "v100": (1, 2, 4, 8)}
"""GPUs that are added to an n1 machine, and in which numbers."""
BUILT_IN = {"g2-standard": "l4", "a2-highgpu": "a100", "a2-ultragpu": "a100-80gb", "a3-highgpu": "h100"}
"""GPUs that are a part of the machine."""
G2 = {4: 1, 8: 1, 12: 1, 16: 1, 24: 2, 32: 1, 48: 4, 96: 8}
"""Cores of a g2 machine: its GPUs. Machines of a2 and a3 say theirs at the end of the name."""
GIGABYTES: dict[str, dict[str, float]] = {
    "n1": {"standard": 3.75, "highmem": 6.5, "highcpu": 0.9},
    "e2": {"standard": 4, "highmem": 8, "highcpu": 1},
}
"""Of each core."""
SHAPE = re.compile(r"(?P<family>[a-z]\d[a-z]?)-(?P<kind>[a-z]+)-(?P<size>\d+)(?P<gpus>g?)")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine type with the GPUs that it has; `gpu` is one of `GPUS`, and `cores` is None where its name hides it."""

    type: str
    gpu: str | None
    gpus: int

    @property
    def spec(self) -> dict[str, object]:
        """The machineSpec of the API."""
        gpus = {"acceleratorType": GPUS[self.gpu], "acceleratorCount": self.gpus} if self.gpu else {}
        return {"machineType": self.type, **gpus}

    @property
    def price(self) -> float | None:
        """Dollars an hour by `prices`, or None where they have no price for a part of it."""
        shape = _shape(self.type)
        family, kind, size = shape["family"], shape["kind"], int(shape["size"])
        gigabytes = 4 if family == "g2" else GIGABYTES.get(family, {}).get(kind, 0)
        bare = None if shape["gpus"] else machine_price(family, size, size * gigabytes)
        added = gpu_price(self.gpu) if self.gpu else 0.0
        return None if bare is None or added is None else bare + self.gpus * added


def make_machine(machine: str, gpu: str | None, gpus: int | None) -> Machine:
    """Return a machine that Google Cloud has.

    Args:
        machine: such as ``n1-standard-8``.
        gpu: one of `GPUS`; None: none, or what is built in.
        gpus: their number; None: one, or what is built in.

    Raises:
        ConfigError: the name is none, or these GPUs do not go with it; the message says what does.
    """
    if gpu is not None and gpu not in GPUS:
        raise unknown_name("--gpu", gpu, GPUS)
    shape = _shape(machine)
    built_in = BUILT_IN.get(f"{shape['family']}-{shape['kind']}")
    if built_in is not None:
        return _with_built_in(machine, built_in, _number_of(shape), gpu, gpus)
    if gpu is None:
        if gpus:
            raise ConfigError(f"--gpus {gpus} would not be used: which is said by --gpu, such as --gpu t4")
        return Machine(machine, None, 0)
    if gpu not in ATTACHED:
        families = ", ".join(name for name, own in BUILT_IN.items() if own == gpu)
        raise ConfigError(f"--gpu {gpu} does not go with --machine {machine}: it is a part of {families} machines")
    if shape["family"] != "n1":
        raise ConfigError(f"--gpu {gpu} does not go with --machine {machine}: take n1, such as n1-standard-8")
    number = 1 if gpus is None else gpus
    if number not in ATTACHED[gpu]:
        raise ConfigError(f"--gpus {number} is impossible for {gpu}: {', '.join(map(str, ATTACHED[gpu]))} are allowed")
    return Machine(machine, gpu, number)


def _with_built_in(machine: str, built_in: str, number: int, gpu: str | None, gpus: int | None) -> Machine:
    if gpu not in (None, built_in):
        raise ConfigError(f"--gpu {gpu} does not go with --machine {machine}, which has {number} {built_in}")
    if gpus not in (None, number):
        raise ConfigError(
            f"--gpus {gpus}: --machine {machine} has {number}, always; take another machine of its family"
        )
    return Machine(machine, built_in, number)


def _number_of(shape: re.Match[str]) -> int:
    size = int(shape["size"])
    if shape["family"] != "g2":
        return size
    if size not in G2:
        raise ConfigError(f"--machine g2-standard-{size} does not exist: {', '.join(map(str, G2))} are the cores of g2")
    return G2[size]


def _shape(machine: str) -> re.Match[str]:
    found = SHAPE.fullmatch(machine)
    if found is None:
        raise ConfigError(
            f"--machine {machine} is no machine type, such as n1-standard-8, g2-standard-8 or a2-highgpu-1g"
        )
    return found
