"""What is measured before training where the config leaves it open: first the runtime, then the batch that fits."""

import logging
from dataclasses import asdict, dataclass
from typing import Any, Self

from mlops_cls import processes
from mlops_cls.build import same_each_epoch
from mlops_cls.card import ModelCard
from mlops_cls.choices import Device, Precision
from mlops_cls.config import Config
from mlops_cls.config.run import AUTO
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.data.loader import StoreDataset, make_loader
from mlops_cls.errors import ConfigError
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.runtime import Runtime, device_name, is_here
from mlops_cls.tuning import cache
from mlops_cls.tuning.memory import Batching, largest_fitting
from mlops_cls.tuning.probe import probe, say
from mlops_cls.tuning.workload import Workload

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tuned:
    """What the run computes with; `measurements` are plain values for the provenance."""

    runtime: Runtime
    batching: Batching
    measurements: list[dict[str, Any]]

    def describe(self) -> dict[str, Any]:
        """Return plain values for the provenance."""
        return self.runtime.describe() | {
            "processes": processes.number(),
            "batch_size": self.batching.size,
            "measured": self.measurements,
        }

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        """Return what `dataclasses.asdict` has made plain."""
        runtime = values["runtime"]
        named = {"device": Device(runtime["device"]), "precision": Precision(runtime["precision"])}
        return cls(Runtime(**runtime | named), Batching(**values["batching"]), values["measurements"])


def tune_together(config: Config, classifier: ImageClassifier, data: ImageDataModule, card: ModelCard | None) -> Tuned:
    """Return to all processes what the first has measured, or what `card`, of a run that goes on, has recorded."""

    def measured() -> dict[str, Any]:
        return asdict(recorded(card, config) or tune(config, classifier, data))

    return Tuned.from_plain(processes.on_first(measured))


def pictures_of_a_batch(config: Config) -> int:
    """Return how many of `data.batch_size` pictures are this process's.

    Raises:
        ConfigError: the pictures, or those on a device at once, cannot be shared equally.
    """
    whole, number, at_once = config.data.batch_size, processes.number(), config.runtime.batch_size
    each, rest = divmod(whole, number)
    if rest:
        near = number * max(round(whole / number), 1)
        raise ConfigError(
            f"data.batch_size={whole} cannot be shared equally by {number} processes: set data.batch_size={near}"
        )
    if isinstance(at_once, int) and each % at_once:
        raise ConfigError(
            f"runtime.batch_size={at_once} does not divide {each}, the pictures of a batch that each of {number} "
            f"processes takes: a step is taken in equal parts, set runtime.batch_size={each} or leave it out"
        )
    return each


def recorded(card: ModelCard | None, config: Config) -> Tuned | None:
    """Return what a run that goes on was tuned to, or None if it was on another device or is new."""
    if card is None:
        return None
    kept = card.provenance["runtime"]
    device = Device(kept["device"])
    if not is_here(device) or kept["device_name"] != device_name(device):
        log.warning("this run began on %s: what it computes here differs in the last digits", kept["device_name"])
        return None
    runtime = Runtime(device, Precision(kept["precision"]), kept["channels_last"], kept["compile"])
    whole, at_once = pictures_of_a_batch(config), kept["batch_size"]
    # Its processes may have become more or fewer.
    return Tuned(runtime, Batching(whole, whole if whole % at_once else at_once), kept["measured"])


def tune(config: Config, classifier: ImageClassifier, data: ImageDataModule) -> Tuned:
    """Return the fastest runtime and the batch that fits, measured where the config leaves them open.

    Raises:
        ConfigError: not even one picture fits into memory.
    """
    train = StoreDataset(data.prepared, "train")
    batch = next(iter(make_loader(train, batch_size=pictures_of_a_batch(config), workers=0)))
    workload = Workload(classifier, batch, frozen=config.model.head_only)
    runtime, measurements = choose_runtime(config, workload, pictures=len(train))
    return Tuned(runtime, choose_batching(config, workload, runtime), measurements)


def choose_runtime(config: Config, workload: Workload, *, pictures: int) -> tuple[Runtime, list[dict[str, Any]]]:
    """Return the runtime, and what was measured for it now or in an earlier run; `pictures` are those of an epoch."""
    rule = Runtime.resolve(config.runtime, workload.classifier.network)
    if config.trainer.deterministic or same_each_epoch(config):
        # Two measurements may end differently, and two precisions give two sets of weights; and a head that trains
        # alone takes no time worth measuring.
        return rule, []
    path = cache.place(workload, rule, config.runtime)
    known = cache.recall(path, rule)
    if known is None:
        known = probe(workload, rule, config.runtime, expected=lambda each: _expected(config, pictures, each))
        cache.keep(path, *known)
    say(known[1], str(known[0]))
    return known


def choose_batching(config: Config, workload: Workload, runtime: Runtime) -> Batching:
    """Return how many of the pictures of a step are on the device at once."""
    given, effective = config.runtime.batch_size, pictures_of_a_batch(config)
    if given == AUTO:
        return largest_fitting(workload, runtime, effective)
    return Batching(effective, effective if given is None else int(given))


def _expected(config: Config, pictures: int, each: float) -> float:
    """Return the seconds that training takes at `each` seconds per picture."""
    if config.trainer.budget_seconds is not None:
        return config.trainer.budget_seconds
    limit = config.trainer.limit_batches
    epoch = pictures if limit is None else min(pictures, limit * config.data.batch_size)
    return config.trainer.max_epochs * epoch * each / processes.number()
