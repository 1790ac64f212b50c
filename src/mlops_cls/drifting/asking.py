"""Pictures of a folder, answered by the bundle and noted as a service would have noted them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from mlops_cls.drifting.items import Gathered, Item
from mlops_cls.errors import DataError, first_few
from mlops_cls.monitoring.records import Record
from mlops_cls.monitoring.reference import Reference
from mlops_cls.monitoring.statistics import measure
from mlops_cls.pictures import Loaded, PictureError
from mlops_cls.predictor import Predictor

AT_ONCE = 64


def ask(predictor: Predictor, reference: Reference, paths: Sequence[Path]) -> Gathered:
    """Return the pictures that can be read, with answers; the others are noted.

    Raises:
        DataError: none can be read.
    """
    items, bad = list[Item](), list[str]()
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), AT_ONCE):
            part = paths[start : start + AT_ONCE]
            found = list(zip(part, pool.map(partial(_read, predictor), part), strict=True))
            bad += [f"{path}: {one}" for path, one in found if isinstance(one, PictureError)]
            items += _answered(predictor, reference, [(path, one) for path, one in found if isinstance(one, Loaded)])
    if not items:
        raise DataError(f"none of {len(paths)} pictures could be read: {first_few(bad, 3)}")
    return Gathered(items, False, [f"{len(bad):,} pictures could not be read: {first_few(bad, 3)}"] if bad else [])


def _read(predictor: Predictor, path: Path) -> Loaded | PictureError:
    try:
        return predictor.read(path)
    except PictureError as error:
        return error


def _answered(predictor: Predictor, reference: Reference, read: Sequence[tuple[Path, Loaded]]) -> Iterator[Item]:
    if not read:
        return
    pixels = [loaded.pixels for _, loaded in read]
    answers, looks = predictor.answer(pixels), measure(np.stack(pixels), [loaded.sides for _, loaded in read])
    projected = None if answers.embeddings is None else reference.projection(answers.embeddings)
    predictions = predictor.name(answers.probabilities)
    for number, ((path, loaded), found) in enumerate(zip(read, predictions, strict=True)):
        record = Record(
            id=str(path),
            request_id="",
            time=datetime.fromtimestamp(path.stat().st_mtime, UTC),
            model=predictor.card.digest,
            label=found.label,
            index=found.index,
            confidence=found.confidence,
            probabilities=answers.probabilities[number],
            abstains=found.abstains,
            width=loaded.sides[0],
            height=loaded.sides[1],
            statistics={name: float(values[number]) for name, values in looks.items()},
            embedding=None if projected is None else projected[number],
        )
        yield Item(record, None, str(path), path.suffix.lower(), path.read_bytes)
