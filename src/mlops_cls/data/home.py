"""Where a run keeps its pictures and where it augments them, chosen from what is measured."""

from dataclasses import dataclass

import torch

from mlops_cls.choices import Home, Where
from mlops_cls.data.augment import Augment
from mlops_cls.data.ondevice.chain import BatchAugment
from mlops_cls.errors import ConfigError
from mlops_cls.runtime import free_memory

GPU_SHARE = 0.25
"""Part of the free GPU memory that pictures may take unasked: network and activations need the rest."""
SMALL = 32 * 32 * 3
"""Bytes of a picture up to which a CPU augments whole batches sooner than albumentations augments picture by picture:
at 28x28 in a fifth of the time, at 32x32x3 in about half, at 64x64x3 in twice as long."""


@dataclass(frozen=True, slots=True)
class Route:
    """How pictures come to the device: where they are kept, and what augments them on arrival, if anything does."""

    home: Home
    augment: BatchAugment | None = None


def choose(
    home: Home,
    where: Where,
    augment: Augment | None,
    device: torch.device,
    size: int,
    *,
    picture: int | None,
    workers: int | None = None,
) -> Route:
    """Return the route for `size` bytes of pictures; explicit settings are kept, auto is as fast as is safe.

    On CUDA augmentation runs on the device if all of it can, and pictures lie there if they fit into `GPU_SHARE` of
    what is free. On the CPU whole batches are augmented if a `picture` has no more than `SMALL` bytes, and the page
    cache makes disk as good as memory. What augments does not depend on `workers`: it decides what is drawn.

    Raises:
        ConfigError: augmentation cannot run on the device though it must, or pictures do not fit where they must.
    """
    pays = device.type == "cuda" or (picture is not None and picture <= SMALL)
    on_arrival = _augment_on_arrival(home, where, augment, pays=pays)
    if home is Home.auto:
        undisturbed = augment is None or on_arrival is not None
        home = Home.device if undisturbed and not workers and _fits(size, device) else Home.disk
    _refuse_too_large(home, size, device)
    return Route(home, on_arrival)


def check(home: Home, where: Where, augment: Augment | None) -> None:
    """Refuse, before anything is read, augmentation that must run on the device and cannot.

    Raises:
        ConfigError: naming the transform and what to type.
    """
    if augment is not None and (where is Where.device or home is Home.device):
        BatchAugment(augment)


def _augment_on_arrival(home: Home, where: Where, augment: Augment | None, *, pays: bool) -> BatchAugment | None:
    if augment is None or where is Where.worker:
        return None
    if where is Where.device or home is Home.device:
        return BatchAugment(augment)
    try:
        return BatchAugment(augment) if pays else None
    except ConfigError:
        return None


def _fits(size: int, device: torch.device) -> bool:
    return device.type == "cuda" and size <= GPU_SHARE * free_memory(device)


def _refuse_too_large(home: Home, size: int, device: torch.device) -> None:
    place = device if home is Home.device else torch.device("cpu")
    if home is not Home.disk and size > free_memory(place):
        raise ConfigError(
            f"data.home={home}: the pictures of train and val take {size / 2**30:.1f} GiB and {place} has "
            f"{free_memory(place) / 2**30:.1f} GiB free: set data.home=disk"
        )
