"""One run, from a config to a tested checkpoint in a folder of its own."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytorch_lightning as pl

from mlops_cls.attempt import Training
from mlops_cls.build import Start, check, make_card, make_datamodule, read_start
from mlops_cls.choices import Device, LoggerName
from mlops_cls.conclude import conclude
from mlops_cls.config import Config, LoggerConfig
from mlops_cls.console import say_to
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.data.doctor.policy import told
from mlops_cls.data.raw import origin_of
from mlops_cls.data.split import SPLITS
from mlops_cls.errors import ConfigError
from mlops_cls.interruption import Interruption
from mlops_cls.launch import launch, processes_to_start
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.progressive import check_size
from mlops_cls.models.weights import by_class, load_into
from mlops_cls.parallel import check_parallel
from mlops_cls.processes import first, first_goes_ahead, meet, on_first
from mlops_cls.provenance import capture, continued
from mlops_cls.resume import Opened, open_run, run_to_continue, settings_of
from mlops_cls.run import CARD, LOG, TABLE, Run
from mlops_cls.runtime import Runtime
from mlops_cls.table import EpochTable
from mlops_cls.tracking import Tracker, check_tracking, tracking
from mlops_cls.tracking.examples import examples_for
from mlops_cls.tuning.tune import Tuned, pictures_of_a_batch, tune_together

log = logging.getLogger(__name__)


def fit(config: Config, *, callbacks: Sequence[pl.Callback] = ()) -> Run:
    """Train, select the best checkpoint by validation, and test that one checkpoint once.

    An unfinished run of the same settings is continued, see `RunConfig.resume`. Where the config asks for several
    processes and this is none of them, they are started, and waited for.

    Args:
        config: all settings of the run.
        callbacks: Lightning callbacks beside those of the config, such as one that ends a run of a search early.

    Raises:
        ConfigError: a setting is unknown, impossible or unused; nothing was written.
        DataError: the data set is missing, bad or cannot be split.
        ArtifactError: the weights to start from, or the run folder, cannot be used.
        Interrupted: SIGTERM or Ctrl-C; what was done is kept.
    """
    number = processes_to_start(config)
    if number is not None:
        _refuse_callbacks(callbacks, number)
        return launch(config, number)
    check(config)
    check_tracking(config.logger)
    device = Runtime.resolve(config.runtime).device
    check_parallel(config.trainer, device)
    meet(cuda=device is Device.cuda)
    pictures_of_a_batch(config)
    began = time.monotonic()
    with Interruption() as interruption, run_to_continue(config) as found:
        start = read_start(config.model)
        with first_goes_ahead():  # The others find what it has fetched and prepared.
            data = make_datamodule(config, start.wanted)
            data.prepare_data()
            if config.trainer.progressive:
                check_size(data.manifest.geometry.size)
            classifier = _make_classifier(config, data, start)

        # Everything that could refuse has been asked: only now is a run folder made.
        with open_run(config, found, data.manifest.identity()) as opened, say_to(opened.folder / LOG):
            _introduce(classifier, data, opened)
            tuned = tune_together(config, classifier, data, opened.card)
            _say_runtime(classifier, tuned.runtime)
            return Job(config, data, start, opened, tuned, began, interruption, callbacks).run()


@dataclass(frozen=True, slots=True)
class Job:
    """A run whose data are prepared, whose folder is open and whose runtime is chosen; `began` as in `Training`."""

    config: Config
    data: ImageDataModule
    start: Start
    opened: Opened
    tuned: Tuned
    began: float
    interruption: Interruption
    callbacks: Sequence[pl.Callback]

    def run(self) -> Run:
        """Train, and let the first process conclude."""
        config, folder, provenance = self.config, self.opened.folder, self._provenance()
        logger = config.logger if first() else LoggerConfig(name=LoggerName.none)
        with tracking(logger, folder, provenance) as tracker:
            table = EpochTable(folder / TABLE, None if config.trainer.budget else config.trainer.max_epochs)
            self._training(provenance, table, tracker).run(self.tuned)
            run = on_first(
                lambda: conclude(
                    folder,
                    self.data,
                    self.tuned.runtime,
                    table.rows,
                    tracker,
                    monitor=config.trainer.monitor,
                    report=config.run.report,
                ).plain()
            )
            return Run.from_plain(run)

    def _training(self, provenance: dict[str, Any], table: EpochTable, tracker: Tracker) -> Training:
        def make_classifier(tuned: Tuned) -> ImageClassifier:
            classifier = _make_classifier(self.config, self.data, self.start)
            classifier.card = replace(classifier.card, provenance=provenance | {"runtime": tuned.describe()})
            if first():
                classifier.card.save(self.opened.folder / CARD)
            classifier.compute_as(tuned.runtime)
            return classifier

        return Training(
            self.config,
            self.data,
            make_classifier,
            self.opened.folder,
            table,
            [] if tracker.logger is None else [tracker.logger],
            [*self.callbacks, *examples_for(tracker, self.data, self.config.seed)],
            self.interruption,
            self.began,
        )

    def _provenance(self) -> dict[str, Any]:
        identity = self.data.manifest.identity() | {"origin": origin_of(self.config.data)}
        now = capture(settings_of(self.config), data=identity, runtime=self.tuned.describe())
        opened = self.opened
        return now if opened.card is None else continued(opened.card.provenance, now, opened.changes)


def _refuse_callbacks(callbacks: Sequence[pl.Callback], number: int) -> None:
    if callbacks:
        raise ConfigError(
            f"{type(callbacks[0]).__name__}, given to fit(), cannot go along to {number} processes: name it in "
            "trainer.callbacks, or write a script that calls fit() and start it with torchrun"
        )


def _make_classifier(config: Config, data: ImageDataModule, start: Start) -> ImageClassifier:
    """Return the untrained classifier; the same each time, with all random numbers of training to come."""
    pl.seed_everything(config.seed, workers=True, verbose=False)
    model = config.model
    architecture = {key: getattr(model, key) for key in ("small_stem", "head_width", "drop_rate")}
    classifier = ImageClassifier(
        make_card(data.manifest, model.name, wanted=start.wanted, kwargs=dict(model.kwargs), **architecture),
        loss=config.loss,
        optim=config.optim,
        augment=config.augment,
        counts=data.manifest.counts["train"],
        pretrained=model.pretrained,
    )
    if start.path is not None:
        tensors = by_class(classifier.network, start.tensors, start.classes, data.manifest.classes)
        log.info("%s: %s", start.path, load_into(classifier.network, tensors, start.path))
    return classifier


def _introduce(classifier: ImageClassifier, data: ImageDataModule, opened: Opened) -> None:
    if opened.goes_on:
        log.info("going on in %s; to begin anew: run.resume=never", opened.folder)
    manifest, preprocess = data.manifest, classifier.card.preprocess
    sizes = ", ".join(f"{manifest.size_of(split)} {split}" for split in SPLITS)
    colour = "grey" if preprocess.channels == 1 else "RGB"
    size = f"{preprocess.size}x{preprocess.size} {colour}"
    log.info("%s: %s pictures, %d classes, %s", manifest.source, sizes, len(manifest.classes), size)
    if manifest.skipped:
        log.warning("%d bad pictures left out; they are named in %s", len(manifest.skipped), data.prepared.folder)
    for line in told(data.prepared, data.check):
        log.warning(line)


def _say_runtime(classifier: ImageClassifier, runtime: Runtime) -> None:
    millions = sum(parameter.numel() for parameter in classifier.network.parameters()) / 1e6
    name = classifier.card.architecture.name
    log.info("%s: %.2f million parameters, on %s in %s", name, millions, runtime.device.value, runtime)
