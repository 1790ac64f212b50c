"""Augmentation of training pictures by albumentations, each draw fixed by its own seed.

With `alternating.py` the only module that imports albumentations. A picture's draw depends on run seed, epoch and
position alone: not on the number of worker processes, which in albumentations 2.0.8 would all repeat one another, and
not on what was drawn before, so a resumed run sees what the uninterrupted one would have seen.
"""

import inspect
import os
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import numpy as np

from mlops_cls.data.sampling import MIRROR
from mlops_cls.errors import ConfigError, did_you_mean, first_few
from mlops_cls.pictures import Pixels


class Augment:
    """A chain of albumentations, applied to one uint8[H,W,C] picture at a time.

    Args:
        transforms: mappings with ``name`` and that transform's arguments, in order. Besides those of albumentations
            there is AlternatingFlip, which mirrors a picture left to right in every second epoch.

    Raises:
        ConfigError: a name or argument that albumentations does not have, or a value it refuses.
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any]]) -> None:
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else the import asks the package index for news
        import albumentations

        from mlops_cls.data.alternating import AlternatingFlip

        known = vars(albumentations) | {"AlternatingFlip": AlternatingFlip}
        self._chain = albumentations.Compose([_build(known, spec) for spec in transforms])
        # One stream of random numbers for the whole chain. Its own `set_random_seed` would begin the same one in each
        # transform, so that two of equal probability would always act together, and takes longer than a flip.
        self._random, self._numbers = Random(0), np.random.Generator(np.random.PCG64(0))  # noqa: S311
        self._chain.set_random_state(self._numbers, self._random)
        self._alternating = [given for given in self.transforms if isinstance(given, AlternatingFlip)]

    @property
    def transforms(self) -> Sequence[Any]:
        """The albumentations of the chain, in order; their settings are as albumentations has read them."""
        transforms: Sequence[Any] = self._chain.transforms
        return transforms

    def __call__(self, picture: Pixels, seed: int) -> Pixels:
        """Return the picture after one draw; the same picture and seed (see `Draws`) give the same result.

        Raises:
            ConfigError: a transform changes size or type, which the network is not built for.
        """
        self._begin(seed % MIRROR)
        for flip in self._alternating:
            flip.mirrored = seed >= MIRROR
        result: Pixels = self._chain(image=picture)["image"]
        if result.shape != picture.shape or result.dtype != picture.dtype:
            was, became = (f"{pixels.dtype}{list(pixels.shape)}" for pixels in (picture, result))
            raise ConfigError(
                f"augment.transforms turn {was} into {became}; only transforms that keep size and type can be used"
            )
        return result

    def _begin(self, seed: int) -> None:
        self._random.seed(seed)
        start = {"state": self._random.getrandbits(128), "inc": 1}
        self._numbers.bit_generator.state = {"bit_generator": "PCG64", "state": start, "has_uint32": 0, "uinteger": 0}


def _build(known: Mapping[str, Any], given: Any, *, inside: str = "") -> Any:
    if not isinstance(given, Mapping):
        raise ConfigError(f"augment.transforms: {given!r} is no mapping; write {{name: {given}}}")
    spec = dict(given)
    name = str(spec.pop("name", None))
    kind = _kind(known, name)
    if inside and name == "AlternatingFlip":
        raise ConfigError(f"augment.transforms: AlternatingFlip is inside {inside}: it belongs at the top of the list")
    _check_arguments(name, kind, spec)
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in spec.items()}
    if "transforms" in spec:
        arguments["transforms"] = [_build(known, inner, inside=name) for inner in spec["transforms"]]
    try:
        return kind(**arguments)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"augment.transforms: {name} refuses {spec}: {error}") from error


def _kind(known: Mapping[str, Any], name: str) -> Any:
    kind = known.get(name)
    if not (inspect.isclass(kind) and issubclass(kind, known["BasicTransform"] | known["BaseCompose"])):
        names = [key for key, value in known.items() if inspect.isclass(value) and key[0].isupper()]
        raise ConfigError(f"augment.transforms: name={name} is not in albumentations{did_you_mean(name, names)}")
    return kind


def _check_arguments(name: str, kind: Any, spec: Mapping[str, Any]) -> None:
    allowed = set(inspect.signature(kind.__init__).parameters) - {"self", "args", "kwargs"}
    unknown = sorted(set(spec) - allowed)
    if unknown:
        # albumentations itself would only warn, and leave the argument out.
        hint, listing = did_you_mean(unknown[0], allowed), first_few(sorted(allowed), 30) or "no arguments"
        raise ConfigError(f"augment.transforms: {name} has no {first_few(unknown)}{hint} ({name} has: {listing})")
