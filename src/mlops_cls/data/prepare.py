"""From raw pictures to the prepared store: the only code that decodes, and it does so once.

The store's folder is named by a hash of source and plan. It is built aside under a lock and renamed when complete, so
it is whole or absent: a killed run leaves a partial folder that the next one replaces, two runs at once share one.
"""

import csv
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from filelock import FileLock

from mlops_cls.data.builder import Builder
from mlops_cls.data.disk import writable
from mlops_cls.data.doctor.examine import examine
from mlops_cls.data.doctor.findings import Report, Subject
from mlops_cls.data.doctor.page import write_page
from mlops_cls.data.facts import write_facts
from mlops_cls.data.manifest import FORMAT, Geometry, Manifest, Plan
from mlops_cls.data.partition import partition
from mlops_cls.data.scan import Header, resolve, scan
from mlops_cls.data.source import Source, class_order
from mlops_cls.data.store import Prepared, refuse_taken_columns, write_table
from mlops_cls.errors import DataError, first_few


def prepare(source: Source, plan: Plan, store: Path) -> Prepared:
    """Return the prepared data set, building it if this source and plan have not been prepared in `store` before.

    What the doctor found on the way lies beside the pictures; whether it matters is the caller's to `judge`.

    Raises:
        DataError: raw files are missing or bad, classes or splits are impossible, or `store` cannot be written.
    """
    folder = store / f"{source.name}-{_key(source, plan)}"
    with writable(store, "data.store"):
        if not Prepared.exists(folder):
            with FileLock(store / f".{folder.name}.lock"):
                if not Prepared.exists(folder):
                    _build_aside(source, plan, folder)
    prepared = Prepared(folder)
    if plan.on_bad != "skip":
        # It may have been prepared with on_bad=skip.
        _refuse_bad(prepared.manifest.skipped, len(prepared.table) + len(prepared.manifest.skipped), store)
    return prepared


def _key(source: Source, plan: Plan) -> str:
    wanted = asdict(plan)
    # Bad pictures are left out or nothing is kept at all, so this changes no byte of a store.
    del wanted["on_bad"]
    facts = [FORMAT, source.name, source.fingerprint(), wanted]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


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
    refuse_taken_columns(samples)
    classes = class_order([s.label for s in samples], source.classes)
    chosen, rule = partition(samples, plan)
    headers = scan(source, chosen)
    geometry = resolve(plan, headers)
    _refuse_too_large(len(chosen), geometry, folder)
    builder = Builder(source, geometry, folder)
    builder.write_all(chosen)
    if plan.on_bad != "skip":
        _refuse_bad(builder.bad, len(chosen), folder.parent)
    builder.refuse_losses(chosen)
    write_table(folder, builder.kept, builder.rows, classes)
    report = _examine(builder, headers, classes, folder)
    _manifest(source, plan, classes, rule, headers, builder, report).save(folder)
    write_page(folder, report)


def _examine(builder: Builder, headers: Mapping[str, Header], classes: Sequence[str], folder: Path) -> Report:
    kept, index = builder.kept, {name: i for i, name in enumerate(classes)}
    subject = Subject(
        classes=classes,
        geometry=builder.geometry,
        ids=[s.id for s in kept],
        splits=[str(s.split) for s in kept],
        labels=np.array([index[s.label] for s in kept], np.int64),
        groups=[s.group for s in kept],
        facts=write_facts(folder, [headers[s.id] for s in kept], builder.looks),
        skipped=builder.bad,
    )
    report = examine(subject)
    report.save(folder)
    return report


def _refuse_bad(bad: Mapping[str, str], total: int, store: Path) -> None:
    if not bad:
        return
    report = store / "bad_pictures.csv"
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
    source: Source,
    plan: Plan,
    classes: tuple[str, ...],
    rule: str,
    headers: Mapping[str, Header],
    builder: Builder,
    report: Report,
) -> Manifest:
    splits = json.dumps(sorted((s.id, s.split) for s in builder.kept)).encode()
    labels = json.dumps([(s.id, s.label, s.split) for s in builder.kept]).encode()
    content = hashlib.sha256("".join(builder.digests).encode() + labels)
    return Manifest(
        source=source.name,
        classes=classes,
        attributes=source.attributes,
        geometry=builder.geometry,
        plan=plan,
        mean=builder.mean,
        std=builder.std,
        counts=builder.counts(classes),
        modes=dict(Counter(header.mode for header in headers.values())),
        skipped=builder.bad,
        check=report.summary(),
        split_by=rule,
        split_hash=hashlib.sha256(splits).hexdigest(),
        content=content.hexdigest(),
    )
