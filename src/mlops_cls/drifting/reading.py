"""From what a service collected, or a plain folder of pictures, to items to be compared with a bundle."""

from collections import Counter
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath

from mlops_cls.bundle import FOLDER, Bundle
from mlops_cls.drifting.asking import ask
from mlops_cls.drifting.items import Gathered, Item
from mlops_cls.errors import ArtifactError, DataError, first_few
from mlops_cls.monitoring.collection import HEADER, Collected, Collection
from mlops_cls.monitoring.records import Record
from mlops_cls.monitoring.reference import Reference
from mlops_cls.monitoring.storage import BUCKET
from mlops_cls.predicting.finding import find_pictures
from mlops_cls.predictor import Predictor
from mlops_cls.publishing.address import parse
from mlops_cls.publishing.fetch import fetch


def open_bundle(given: str) -> Bundle:
    """Return the bundle meant: one by its folder or address, or that of a run folder.

    Raises:
        ArtifactError: there is none; the message says what to type.
    """
    address = parse(given)
    if address is not None:
        return fetch(address)
    folder = Path(given)
    if (folder / HEADER).is_file():
        raise ArtifactError(f"{given} is a collection, not a bundle: type the bundle first, then what was collected")
    return Bundle.open(folder / FOLDER if Bundle.is_at(folder / FOLDER) and not Bundle.is_at(folder) else folder)


def open_reference(bundle: Bundle) -> Reference:
    """Return what a bundle's pictures and answers were like at home.

    Raises:
        ArtifactError: the bundle was made where its data were not.
    """
    if bundle.reference is None:
        raise ArtifactError(
            f"{bundle.folder} has no reference.npz to compare with: it was exported where its data were not. Export "
            "its run again where they are: python -m mlops_cls.export RUN"
        )
    return Reference.load(bundle.reference)


def gather(
    bundle: Bundle,
    reference: Reference,
    place: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    backend: str,
) -> Gathered:
    """Return the pictures of a collection, or those of a folder after asking the bundle about them.

    Args:
        bundle: whose answers are meant.
        reference: its own.
        place: a folder or ``gs://bucket/folder`` that a service collected into; or pictures, or a folder of them.
        since: only later pictures of a collection.
        until: only earlier ones.
        backend: what computes the bundle, for a folder of pictures.

    Raises:
        ArtifactError: no such place, another model's or other classes' collection.
        DataError: there is no picture in it, or none can be read.
    """
    if _is_collection(place):
        collection = Collection.open(place)
        bundle.card.check_classes(collection.classes, whose=place)
        return _of_collection(collection, collection.read(since=since, until=until), bundle.card.digest)
    if since or until:
        raise DataError(f"--since and --until are for what a service collected, and {place} is a folder of pictures")
    return ask(Predictor.load(bundle.folder, backend=backend), reference, find_pictures([place]))


def _is_collection(place: str) -> bool:
    if place.startswith(BUCKET) or (Path(place) / HEADER).is_file():
        return True
    folder = Path(place)
    if (folder.absolute().parent / HEADER).is_file():
        raise DataError(f"{place} is a part of a collection: give {folder.parent}, and --since for a part of its time")
    if Bundle.is_at(place) or Bundle.is_at(folder / FOLDER):
        raise DataError(
            f"{place} is a model: give what is to be compared with it, a collection or a folder of pictures"
        )
    return False


def _of_collection(collection: Collection, collected: Collected, model: str) -> Gathered:
    ours = [record for record in collected.records if record.model == model]
    others = Counter(record.model for record in collected.records if record.model != model)
    if not ours:
        raise DataError(_nothing(collection.place, model, others))
    return Gathered([_of_record(collection, record, collected.labels.get(record.id)) for record in ours], True, [
        *(f"{number:,} pictures were answered by model {name}, and are left out" for name, number in others.items()),
        *([f"{collected.unreadable:,} lines could not be read"] if collected.unreadable else []),
        *([f"{collected.torn:,} lines were cut off, as by a killed process"] if collected.torn else []),
    ])  # fmt: skip


def _nothing(place: str, model: str, others: Counter[str]) -> str:
    if others:
        return (
            f"{place} holds nothing that this bundle (model {model}) answered, but {others.total():,} pictures of "
            f"{first_few(sorted(others))}: give the bundle that the service runs (GET /info says its model_version)"
        )
    return f"{place} holds no pictures of that time: has the service been asked, with --collect metadata or pictures?"


def _of_record(collection: Collection, record: Record, truth: str | None) -> Item:
    return Item(
        record=record,
        truth=truth,
        source=record.id,
        ending=PurePosixPath(record.picture or "").suffix,
        content=partial(collection.picture, record) if record.picture else None,
    )
