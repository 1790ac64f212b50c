"""From a `Config` to the objects of a run; below here nobody sees a config of anything but its own part."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from mlops_cls.bundle import WEIGHTS, Bundle
from mlops_cls.card import Architecture, ModelCard, Preprocess
from mlops_cls.choices import SourceKind
from mlops_cls.config import Config, DataConfig, ModelConfig
from mlops_cls.data.augment import Augment
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.data.home import check as check_route
from mlops_cls.data.manifest import Manifest, Plan
from mlops_cls.data.raw import raw_files
from mlops_cls.data.source import Source
from mlops_cls.data.sources.archive import ArchiveSource, DataSet
from mlops_cls.data.sources.digits import DigitsSource
from mlops_cls.data.sources.dog_breed import DOG_BREED
from mlops_cls.data.sources.emotion import EMOTION
from mlops_cls.data.sources.fmnist import KAGGLE, FashionMnistSource
from mlops_cls.data.sources.folder import FolderSource
from mlops_cls.data.sources.seabed import SEABED
from mlops_cls.data.sources.skin_lesion import SKIN_LESION
from mlops_cls.data.sources.table import TableSource
from mlops_cls.errors import ConfigError, did_you_mean, unknown_name
from mlops_cls.models.networks import check_any_size, check_name, check_published, fit_to_size, pretrained_preprocess
from mlops_cls.models.optim import check_optimizer
from mlops_cls.models.weights import read_weights
from mlops_cls.plugins import DATA_SETS, load_plugin, plugin_names


def check(config: Config) -> None:
    """Refuse unknown names and unused settings before anything is prepared, downloaded or written.

    Raises:
        ConfigError: naming the key, and the nearest right name.
    """
    config.validate()
    if config.data.name not in _SOURCES:
        _check_plugin(config.data)
    if config.data.source is SourceKind.kaggle:
        _check_kaggle(config.data.name)
    check_name(config.model.name)
    if config.model.pretrained:
        check_published(config.model.name)
    if config.trainer.progressive:
        check_any_size(config.model.name, config.model.kwargs)
    check_optimizer(config.optim)
    check_route(config.data.home, config.augment.where, Augment(config.augment.transforms))
    for spec in config.trainer.callbacks:
        _check_callback(spec)


def _table(data: DataConfig) -> Source:
    columns = {"path_column": data.path_column or "path", "label_column": data.label_column or "label"}
    return TableSource(raw_files(data), split_column=data.split_column, group_column=data.group_column, **columns)


def _fmnist(data: DataConfig) -> Source:
    mirrored = data.source is SourceKind.download and data.url is None
    return FashionMnistSource(raw_files(data, kaggle=_KAGGLE["fmnist"]), download=mirrored)


def _archive(data_set: DataSet) -> Callable[[DataConfig], Source]:
    return lambda data: ArchiveSource(data_set, raw_files(data, kaggle=data_set.kaggle))


_PUBLISHED = (SEABED, SKIN_LESION, EMOTION, DOG_BREED)
_KAGGLE = {"fmnist": KAGGLE} | {data_set.name: data_set.kaggle for data_set in _PUBLISHED if data_set.kaggle}
_SOURCES: Mapping[str, Callable[[DataConfig], Source]] = {
    "digits": lambda data: DigitsSource(),
    "fmnist": _fmnist,
    "folder": lambda data: FolderSource(raw_files(data)),
    "table": _table,
    **{data_set.name: _archive(data_set) for data_set in _PUBLISHED},
}


def _check_kaggle(name: str) -> None:
    if name not in _KAGGLE:
        raise ConfigError(f"data.source=kaggle is impossible for data={name}; Kaggle has {', '.join(_KAGGLE)}")


def _check_plugin(data: DataConfig) -> None:
    installed = plugin_names(DATA_SETS)
    if data.name not in installed:
        raise unknown_name("data.name", data.name, [*_SOURCES, *installed])
    if data.source is SourceKind.synthetic:
        raise ConfigError(f"data.source=synthetic is impossible for data.name={data.name}, which is not one of ours")


def make_source(data: DataConfig) -> Source:
    """Return the raw data set that the config names, fetched or written first where the config says so.

    Raises:
        DataError: it cannot be fetched.
    """
    if data.name in _SOURCES:
        return _SOURCES[data.name](data)
    found: Source = load_plugin(DATA_SETS, data.name)(raw_files(data))
    return found


@dataclass(frozen=True, slots=True)
class Start:
    """What training starts from: the tensors of a local file if any, how they want their pictures, their classes."""

    path: Path | None = None
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    wanted: Preprocess | None = None
    classes: Sequence[str] = ()


def read_start(model: ModelConfig) -> Start:
    """Return the start that the config asks for; published weights themselves are fetched with the network.

    Raises:
        ArtifactError: the file of `model.weights` is missing, unsafe or damaged.
    """
    if model.weights is None:
        return Start(wanted=pretrained_preprocess(model.name) if model.pretrained else None)
    path = Path(model.weights)
    tensors, card = read_weights(path)
    if card is None and path.name == WEIGHTS and Bundle.is_at(path.parent):
        card = Bundle.open(path.parent).card
    wanted = card.preprocess if card else pretrained_preprocess(model.name)
    return Start(path, tensors, wanted, card.classes if card else ())


def make_plan(data: DataConfig, wanted: Preprocess | None) -> Plan:
    """Return what preparation is asked for: explicit settings first, then what the weights want."""
    plan = Plan(
        size=data.size,
        resize=data.resize.value,
        channels=data.channels.value,
        split=data.split.value,
        val_fraction=data.val_fraction,
        test_fraction=data.test_fraction,
        subsample=data.subsample,
        seed=data.seed,
        on_bad=data.on_bad.value,
        fold=data.fold,
        folds=data.folds,
    )
    if wanted is None:
        return plan
    return replace(plan, size=data.size or wanted.size, crop=wanted.crop, interpolation=wanted.interpolation)


def make_datamodule(config: Config, wanted: Preprocess | None = None) -> ImageDataModule:
    """Return the data module of a config; nothing is read before it is prepared."""
    return ImageDataModule(
        make_source(config.data),
        plan=make_plan(config.data, wanted),
        store=config.data.store,
        check=config.data.check,
        augment=config.augment.transforms,
        where=config.augment.where,
        home=config.data.home,
        batch_size=config.data.batch_size,
        workers=config.data.workers,
        seed=config.seed,
        sampler=config.data.sampler,
        limit=config.trainer.limit_batches,
    )


def same_each_epoch(config: Config) -> bool:
    """Tell whether what lies before the trained layer is given the same pictures and stays the same in every epoch."""
    augment, trainer = config.augment, config.trainer
    varied = augment.transforms or augment.mixup or augment.cutmix or trainer.progressive
    # Callbacks of others may look at pictures or change the backbone; a rehearsal reads only a few of the pictures.
    return config.model.head_only and not (varied or trainer.callbacks or trainer.limit_batches)


def make_card(
    manifest: Manifest,
    name: str = "resnet18",
    *,
    wanted: Preprocess | None = None,
    **architecture: Any,
) -> ModelCard:
    """Return the card of a network for a prepared data set.

    Args:
        manifest: of the prepared data set (``datamodule.manifest``).
        name: any network timm knows.
        wanted: the preprocessing of the weights to start from; its mean and std are used, else the data's own.
        architecture: ``small_stem``, ``head_width``, ``drop_rate`` and ``kwargs`` of the network.

    Raises:
        ConfigError: timm has no such network.
    """
    check_name(name)
    geometry = manifest.geometry
    mean, std = _normalisation(manifest, wanted)
    return ModelCard(
        classes=manifest.classes,
        preprocess=Preprocess(
            size=geometry.size,
            resize=geometry.resize,
            crop=geometry.crop,
            interpolation=geometry.interpolation,
            mean=mean,
            std=std,
        ),
        architecture=fit_to_size(Architecture(name=name, **architecture), geometry.size),
        attributes={key: dict(values) for key, values in manifest.attributes.items()},
    )


def _normalisation(manifest: Manifest, wanted: Preprocess | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if wanted is None:
        return manifest.mean, manifest.std
    channels = manifest.geometry.channels
    if wanted.channels == channels:
        return wanted.mean, wanted.std
    # timm folds the weights of RGB into one channel by summing them, or repeats one into three; so do the statistics.
    return (sum(wanted.mean) / wanted.channels,) * channels, (sum(wanted.std) / wanted.channels,) * channels


def make_callback(spec: Mapping[str, Any]) -> pl.Callback:
    """Return a third-party callback from ``_target_`` and its arguments; they were checked by `check`."""
    arguments = {key: value for key, value in spec.items() if key != "_target_"}
    callback = _target(spec)(**arguments)
    if not isinstance(callback, pl.Callback):
        raise ConfigError(f"trainer.callbacks: {spec['_target_']} is no Lightning callback")
    return callback


def _check_callback(spec: Mapping[str, Any]) -> None:
    parameters = inspect.signature(_target(spec)).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for key in spec:
        if key != "_target_" and key not in parameters:
            raise ConfigError(f"trainer.callbacks: {spec['_target_']} has no {key}{did_you_mean(key, parameters)}")


def _target(spec: Mapping[str, Any]) -> Callable[..., Any]:
    path = str(spec.get("_target_", ""))
    module, _, name = path.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"trainer.callbacks: _target_={path or 'missing'} cannot be imported ({error}); give a full path such as "
            "pytorch_lightning.callbacks.Timer"
        ) from error
    return found
