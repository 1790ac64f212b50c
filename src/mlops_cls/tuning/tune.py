"""What is measured before training where the config leaves it open: first the runtime, then the batch that fits."""

import logging
from dataclasses import dataclass
from typing import Any

from mlops_cls.build import same_each_epoch
from mlops_cls.card import ModelCard
from mlops_cls.choices import Device, Precision
from mlops_cls.config import Config
from mlops_cls.config.run import AUTO
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.data.loader import StoreDataset, make_loader
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
        return self.runtime.describe() | {"batch_size": self.batching.size, "measured": self.measurements}


def recorded(card: ModelCard | None) -> Tuned | None:
    """Return what a run that goes on was tuned to, or None if it was on another device or is new."""
    if card is None:
        return None
    kept = card.provenance["runtime"]
    device = Device(kept["device"])
    if not is_here(device) or kept["device_name"] != device_name(device):
        log.warning("this run began on %s: what it computes here differs in the last digits", kept["device_name"])
        return None
    runtime = Runtime(device, Precision(kept["precision"]), kept["channels_last"], kept["compile"])
    return Tuned(
        runtime, Batching(card.provenance["config"]["data"]["batch_size"], kept["batch_size"]), kept["measured"]
    )


def tune(config: Config, classifier: ImageClassifier, data: ImageDataModule) -> Tuned:
    """Return the fastest runtime and the batch that fits, measured where the config leaves them open.

    Raises:
        ConfigError: not even one picture fits into memory.
    """
    train = StoreDataset(data.prepared, "train")
    batch = next(iter(make_loader(train, batch_size=config.data.batch_size, workers=0)))
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
    given, effective = config.runtime.batch_size, config.data.batch_size
    if given == AUTO:
        return largest_fitting(workload, runtime, effective)
    return Batching(effective, effective if given is None else int(given))


def _expected(config: Config, pictures: int, each: float) -> float:
    """Return the seconds that training takes at `each` seconds per picture."""
    if config.trainer.budget_seconds is not None:
        return config.trainer.budget_seconds
    limit = config.trainer.limit_batches
    epoch = pictures if limit is None else min(pictures, limit * config.data.batch_size)
    return config.trainer.max_epochs * epoch * each
