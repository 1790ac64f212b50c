"""From raw pictures to the prepared store: the only code that decodes, and it does so once.

The store's folder is named by a hash of source and plan. It is built aside under a lock and renamed when complete, so
it is whole or absent: a killed run leaves a partial folder that the next one replaces, two runs at once share one.
"""

import csv
import errno
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from mlops_cls.data.manifest import FORMAT, Geometry, Manifest, Plan
from mlops_cls.data.partition import partition
from mlops_cls.data.scan import Scan, resolve, scan
from mlops_cls.data.source import Sample, Source, class_order
from mlops_cls.data.split import SPLITS
from mlops_cls.data.store import ArrayWriter, Prepared, write_table
from mlops_cls.errors import DataError, first_few
from mlops_cls.pictures import PictureError, Pixels, fit_picture, read_picture

CHUNK = 256
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


def prepare(source: Source, plan: Plan, store: Path) -> Prepared:
    """Return the prepared data set, building it if this source and plan have not been prepared in `store` before.

    Raises:
        DataError: raw files are missing or bad, classes or splits are impossible, or `store` cannot be written.
    """
    folder = store / f"{source.name}-{_key(source, plan)}"
    with _writable(store):
        if not Prepared.exists(folder):
            with FileLock(store / f".{folder.name}.lock"):
                if not Prepared.exists(folder):
                    _build_aside(source, plan, folder)
    return Prepared(folder)


def _key(source: Source, plan: Plan) -> str:
    facts = [FORMAT, source.name, source.fingerprint(), asdict(plan)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def _writable(store: Path) -> Iterator[None]:
    """Make the folder, and turn a full disk or a missing permission into a `DataError`."""
    try:
        store.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DataError(
                f"no room left in {store}: free some space or set data.store=FOLDER on another disk"
            ) from error
        if error.errno in NOT_ALLOWED:
            raise DataError(f"{store} cannot be written ({error.strerror}): set data.store=FOLDER") from error
        raise


def _build_aside(source: Source, plan: Plan, folder: Path) -> None:
    aside = folder.with_name(f".{folder.name}.partial")
    # Under the lock, an aside folder can only be what a killed run left.
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        _build(source, plan, aside)
        # Without a manifest it is what is left of a store that was being deleted.
        shutil.rmtree(folder, ignore_errors=True)
        aside.replace(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _build(source: Source, plan: Plan, folder: Path) -> None:
    samples = source.samples()
    classes = class_order([s.label for s in samples], source.classes)
    chosen, rule = partition(samples, plan)
    found = scan(source, chosen)
    geometry = resolve(plan, found)
    _refuse_too_large(len(chosen), geometry, folder)
    builder = _Builder(source, geometry, folder)
    with tqdm(total=len(chosen), desc=f"preparing {source.name}", unit=" pictures", disable=None) as progress:
        for split in SPLITS:
            builder.write(split, [s for s in chosen if s.split == split], progress)
    _judge(builder.bad, plan, len(chosen), folder)
    builder.refuse_losses(chosen)
    write_table(folder, builder.kept, builder.rows, classes)
    _manifest(source, plan, classes, rule, found, builder).save(folder)


class _Builder:
    """Decodes split after split into arrays, and remembers what was kept and what was bad."""

    def __init__(self, source: Source, geometry: Geometry, folder: Path) -> None:
        self.source, self.geometry, self.folder = source, geometry, folder
        self.kept: list[Sample] = []
        self.rows: list[int] = []
        self.bad: dict[str, str] = {}
        self.digests: list[str] = []
        self.mean: tuple[float, ...] = ()
        self.std: tuple[float, ...] = ()

    def write(self, split: str, samples: Sequence[Sample], progress: "tqdm[None]") -> None:
        with ArrayWriter(self.folder / f"{split}.npy", self.geometry) as writer, ThreadPoolExecutor() as pool:
            # In chunks, so that no more than one of them is in memory.
            for start in range(0, len(samples), CHUNK):
                chunk = samples[start : start + CHUNK]
                self._take(chunk, list(pool.map(self._decode, chunk)), writer)
                progress.update(len(chunk))
        self.digests.append(writer.hexdigest())
        if split == "train" and writer.length:
            self.mean, self.std = writer.statistics()

    def _decode(self, sample: Sample) -> Pixels | PictureError:
        try:
            return fit_picture(read_picture(self.source.picture(sample)), **asdict(self.geometry))
        except PictureError as reason:
            return reason

    def _take(self, samples: Sequence[Sample], results: Sequence[Pixels | PictureError], writer: ArrayWriter) -> None:
        good: list[Pixels] = []
        for sample, result in zip(samples, results, strict=True):
            if isinstance(result, PictureError):
                self.bad[sample.id] = str(result)
            else:
                self.kept.append(sample)
                self.rows.append(writer.length + len(good))
                good.append(result)
        if good:
            writer.extend(good)

    def refuse_losses(self, chosen: Sequence[Sample]) -> None:
        lost = {s.label for s in chosen} - {s.label for s in self.kept if s.split == "train"}
        if lost:
            raise DataError(f"no readable training picture is left of {first_few(sorted(lost))}")
        empty = [split for split in SPLITS if split not in {s.split for s in self.kept}]
        if empty:
            raise DataError(f"no readable picture is left in {', '.join(empty)}")


def _judge(bad: dict[str, str], plan: Plan, total: int, folder: Path) -> None:
    if not bad or plan.on_bad == "skip":
        return
    report = folder.parent / "bad_pictures.csv"
    with report.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "reason"), *bad.items()])
    named = first_few([f"{i}: {reason}" for i, reason in bad.items()], 5)
    raise DataError(
        f"{len(bad)} of {total} files cannot be used ({named}). All of them are listed in {report}. "
        "Mend or remove them, or leave them out with data.on_bad=skip"
    )


def _refuse_too_large(number: int, geometry: Geometry, folder: Path) -> None:
    needed = number * geometry.size**2 * geometry.channels
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"the prepared pictures need {needed / 1e9:.3g} GB and {folder.parent} has {free / 1e9:.3g} GB left: "
            "free some space, set data.store=FOLDER on another disk, or choose a smaller data.size or data.subsample"
        )


def _manifest(
    source: Source, plan: Plan, classes: tuple[str, ...], rule: str, found: Scan, builder: _Builder
) -> Manifest:
    splits = json.dumps(sorted((s.id, s.split) for s in builder.kept)).encode()
    labels = json.dumps([(s.id, s.label, s.split) for s in builder.kept]).encode()
    content = hashlib.sha256("".join(builder.digests).encode() + labels)
    counts = {split: dict.fromkeys(classes, 0) for split in SPLITS}
    for (split, label), number in Counter((s.split, s.label) for s in builder.kept).items():
        counts[split or ""][label] = number
    return Manifest(
        source=source.name,
        classes=classes,
        attributes=source.attributes,
        geometry=builder.geometry,
        plan=replace(plan),
        mean=builder.mean,
        std=builder.std,
        counts=counts,
        modes=found.modes,
        skipped=builder.bad,
        split_by=rule,
        split_hash=hashlib.sha256(splits).hexdigest(),
        content=content.hexdigest(),
    )
