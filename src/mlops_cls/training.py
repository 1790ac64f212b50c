"""One run, from a config to a tested checkpoint in a folder of its own."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytorch_lightning as pl
import yaml

from mlops_cls.attempt import Training
from mlops_cls.build import Start, check, make_card, make_datamodule, read_start
from mlops_cls.choices import Device, LoggerName
from mlops_cls.conclude import conclude
from mlops_cls.config import Config, LoggerConfig
from mlops_cls.console import say_to
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.data.doctor.policy import told
from mlops_cls.data.raw import origin_of, without_signature
from mlops_cls.data.split import SPLITS
from mlops_cls.errors import ConfigError
from mlops_cls.launch import launch, processes_to_start
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.progressive import check_size
from mlops_cls.models.weights import load_into
from mlops_cls.parallel import check_parallel
from mlops_cls.processes import first, first_goes_ahead, how_many, meet, on_first
from mlops_cls.provenance import capture
from mlops_cls.run import CARD, CONFIG, LOG, TABLE, Run, new_run_folder
from mlops_cls.runtime import Runtime
from mlops_cls.table import EpochTable
from mlops_cls.tracking import tracking
from mlops_cls.tuning.tune import Tuned, pictures_of_a_batch, tune_together

log = logging.getLogger(__name__)


def fit(config: Config, *, callbacks: Sequence[pl.Callback] = ()) -> Run:
    """Train, select the best checkpoint by validation, and test that one checkpoint once.

    Where the config asks for several processes and this is none of them, they are started, and waited for.

    Args:
        config: all settings of the run.
        callbacks: Lightning callbacks beside those of the config, such as one that ends a run of a search early.

    Raises:
        ConfigError: a setting is unknown, impossible or unused; nothing was written.
        DataError: the data set is missing, bad or cannot be split.
        ArtifactError: the weights to start from, or the run folder, cannot be used.
    """
    number = processes_to_start(config)
    if number is not None:
        _refuse_callbacks(callbacks, number)
        return launch(config, number)
    check(config)
    device = Runtime.resolve(config.runtime).device
    check_parallel(config.trainer, device)
    meet(cuda=device is Device.cuda)
    pictures_of_a_batch(config)
    began = time.monotonic()
    start = read_start(config.model)
    with first_goes_ahead():  # The others find what it has fetched and prepared.
        data = make_datamodule(config, start.wanted)
        data.prepare_data()
        if config.trainer.progressive:
            check_size(data.manifest.geometry.size)
        classifier = _make_classifier(config, data, start)

    # Everything that could refuse has been asked: only now is a run folder made.
    folder = Path(on_first(lambda: str(new_run_folder(config.run))))
    with say_to(folder / LOG):
        _introduce(classifier, data)
        tuned = tune_together(config, classifier, data)
        _say_runtime(classifier, tuned.runtime)
        return _train(config, data, start, folder, tuned, began, callbacks)


def _train(
    config: Config,
    data: ImageDataModule,
    start: Start,
    folder: Path,
    tuned: Tuned,
    began: float,
    callbacks: Sequence[pl.Callback],
) -> Run:
    public = replace(config, data=without_signature(config.data))
    identity = data.manifest.identity() | {"origin": origin_of(config.data)}
    provenance = capture(public, data=identity, runtime=tuned.describe())
    if first():
        (folder / CONFIG).write_text(yaml.safe_dump(provenance["config"], sort_keys=False, allow_unicode=True))

    def make_classifier(tuned: Tuned) -> ImageClassifier:
        classifier = _make_classifier(config, data, start)
        classifier.card = replace(classifier.card, provenance=provenance | {"runtime": tuned.describe()})
        if first():
            classifier.card.save(folder / CARD)
        classifier.compute_as(tuned.runtime)
        return classifier

    logger = config.logger if first() else LoggerConfig(name=LoggerName.none)
    with tracking(logger, folder, provenance) as tracker:
        table = EpochTable(folder / TABLE, None if config.trainer.budget else config.trainer.max_epochs)
        loggers = [table] if tracker.logger is None else [table, tracker.logger]
        end = None if config.trainer.budget_seconds is None else began + config.trainer.budget_seconds
        Training(config, data, make_classifier, folder, loggers, callbacks, end).run(tuned)

        def end_run() -> Run:
            return conclude(folder, data, tuned.runtime, table.rows, tracker, monitor=config.trainer.monitor)

        return end_run() if how_many() == 1 else Run.from_plain(on_first(lambda: end_run().plain()))


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
        log.info("%s: %s", start.path, load_into(classifier.network, start.tensors, start.path))
    return classifier


def _introduce(classifier: ImageClassifier, data: ImageDataModule) -> None:
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
