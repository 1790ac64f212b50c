"""One run, from a config to a tested checkpoint in a folder of its own."""

import logging
from dataclasses import replace

import pytorch_lightning as pl
import yaml

from mlops_cls.build import Start, check, make_card, make_datamodule, read_start, same_each_epoch
from mlops_cls.conclude import conclude
from mlops_cls.config import Config
from mlops_cls.console import say_to
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.data.doctor.policy import told
from mlops_cls.data.raw import origin_of, without_signature
from mlops_cls.data.split import SPLITS
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.features import frozen_features
from mlops_cls.models.progressive import check_size
from mlops_cls.models.weights import load_into
from mlops_cls.provenance import capture
from mlops_cls.run import CARD, CONFIG, LOG, TABLE, Run, new_run_folder
from mlops_cls.runtime import Runtime
from mlops_cls.table import EpochTable
from mlops_cls.tracking import tracking
from mlops_cls.trainer import make_trainer, quiet_lightning

log = logging.getLogger(__name__)


def fit(config: Config) -> Run:
    """Train, select the best checkpoint by validation, and test that one checkpoint once.

    Raises:
        ConfigError: a setting is unknown, impossible or unused; nothing was written.
        DataError: the data set is missing, bad or cannot be split.
        ArtifactError: the weights to start from, or the run folder, cannot be used.
    """
    check(config)
    Runtime.resolve(config.runtime)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    start = read_start(config.model)
    data = make_datamodule(config, start.wanted)
    data.prepare_data()
    if config.trainer.progressive:
        check_size(data.manifest.geometry.size)
    classifier = _make_classifier(config, data, start)
    runtime = Runtime.resolve(config.runtime, classifier.network)
    data_facts = data.manifest.identity() | {"origin": origin_of(config.data)}
    public = replace(config, data=without_signature(config.data))
    provenance = capture(public, data=data_facts, runtime=runtime.describe())
    classifier.card = replace(classifier.card, provenance=provenance)
    loaded = start.path and load_into(classifier.network, start.tensors, start.path)
    classifier.memory_format = runtime.memory_format
    classifier.to(memory_format=runtime.memory_format)

    # Everything that could refuse has been asked: only now is a run folder made.
    folder = new_run_folder(config.run)
    (folder / CONFIG).write_text(yaml.safe_dump(provenance["config"], sort_keys=False, allow_unicode=True))
    classifier.card.save(folder / CARD)
    with say_to(folder / LOG), tracking(config.logger, folder, provenance) as tracker:
        if loaded:
            log.info("%s: %s", start.path, loaded)
        _introduce(classifier, data, runtime)
        table = EpochTable(folder / TABLE, config.trainer.max_epochs)
        loggers = [table] if tracker.logger is None else [table, tracker.logger]
        with quiet_lightning():
            trainer = make_trainer(config, runtime, folder, loggers)
            features = frozen_features(classifier, data) if same_each_epoch(config) else None
            trainer.fit(classifier, datamodule=features or data)
        return conclude(folder, data, runtime, table.rows, tracker, monitor=config.trainer.monitor)


def _make_classifier(config: Config, data: ImageDataModule, start: Start) -> ImageClassifier:
    model = config.model
    architecture = {key: getattr(model, key) for key in ("small_stem", "head_width", "drop_rate")}
    return ImageClassifier(
        make_card(data.manifest, model.name, wanted=start.wanted, kwargs=dict(model.kwargs), **architecture),
        loss=config.loss,
        optim=config.optim,
        augment=config.augment,
        counts=data.manifest.counts["train"],
        pretrained=model.pretrained,
    )


def _introduce(classifier: ImageClassifier, data: ImageDataModule, runtime: Runtime) -> None:
    manifest, preprocess = data.manifest, classifier.card.preprocess
    sizes = ", ".join(f"{manifest.size_of(split)} {split}" for split in SPLITS)
    colour = "grey" if preprocess.channels == 1 else "RGB"
    size = f"{preprocess.size}x{preprocess.size} {colour}"
    log.info("%s: %s pictures, %d classes, %s", manifest.source, sizes, len(manifest.classes), size)
    if manifest.skipped:
        log.warning("%d bad pictures left out; they are named in %s", len(manifest.skipped), data.prepared.folder)
    for line in told(data.prepared, data.check):
        log.warning(line)
    millions = sum(parameter.numel() for parameter in classifier.network.parameters()) / 1e6
    name, device, precision = classifier.card.architecture.name, runtime.device.value, runtime.precision.value
    log.info("%s: %.2f million parameters, on %s in %s", name, millions, device, precision)
