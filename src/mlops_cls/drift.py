"""Tell whether pictures and answers have changed since training: ``python -m mlops_cls.drift BUNDLE COLLECTED``."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_cls.backends.kinds import DEFAULT
from mlops_cls.cli import positive, run_verb
from mlops_cls.errors import ArtifactError

if TYPE_CHECKING:
    from mlops_cls.drifting.examine import Examined

EXAMPLE = """examples:
  python -m mlops_cls.drift runs/latest/bundle collected
  python -m mlops_cls.drift runs/latest/bundle gs://shop/collected --since 2026-11-20 --looks 30
  python -m mlops_cls.drift runs/latest/bundle new_pictures/
  python -m mlops_cls.drift runs/latest/bundle collected --table retrain

exit code: 0 no drift, 3 drift, 4 too few pictures to tell, 2 error"""
DRIFT, TOO_FEW = 3, 4
PAGE, VALUES = "drift.html", "drift.json"


def main(arguments: list[str]) -> None:
    """Compare, print what it comes to, write a page and its numbers, and exit by it."""
    options = _parser().parse_args(arguments)
    examined = _examined(options)
    print(*_lines(examined), sep="\n")
    _write(options, examined)
    if options.table:
        _write_table(options, examined)
    if not examined.findings.enough:
        sys.exit(TOO_FEW)
    if examined.findings.drift:
        sys.exit(DRIFT)


def _examined(options: argparse.Namespace) -> "Examined":
    from mlops_cls.drifting.examine import examine
    from mlops_cls.drifting.reading import gather, open_bundle, open_reference

    bundle = open_bundle(options.bundle)
    reference = open_reference(bundle)
    gathered = gather(
        bundle, reference, options.collected, since=options.since, until=options.until, backend=options.backend
    )
    return examine(bundle, reference, gathered, window=options.window, every=options.every_picture, looks=options.looks)


def _lines(examined: "Examined") -> list[str]:
    from mlops_cls.monitoring.words import in_short
    from mlops_cls.report.numbers import chance, percent, span
    from mlops_cls.report.text import aligned

    findings, accuracy = examined.findings, examined.findings.accuracy
    lines = [findings.say(), ""]
    if findings.enough:
        rows = [
            [
                change.name,
                change.test,
                f"{change.effect:.2f}",
                chance(change.p_adjusted),
                in_short(change, findings.alpha),
            ]
            for change in findings.changes
        ]
        lines += aligned(("", "test", "effect", "by chance", ""), rows)
    if len(findings.windows) > 1:
        lines.append(f"{len(findings.drifted_windows)} of {len(findings.windows)} windows changed")
    if accuracy:
        told = f"of {accuracy.pictures:,} pictures whose true class was told"
        lines.append(f"right on {percent(accuracy.value)} ({span(accuracy.to_dict())}) {told}")
    return [*lines, *(f"left out: {note}" for note in examined.notes)]


def _write(options: argparse.Namespace, examined: "Examined") -> None:
    from mlops_cls.atomic import write_text
    from mlops_cls.drifting.page import Subject, write_page

    folder: Path = options.out
    subject = Subject(
        card=examined.bundle.card,
        reference=examined.reference,
        findings=examined.findings,
        items=examined.gathered.items,
        unusual=examined.unusual,
        history=examined.history,
        place=options.collected,
        notes=examined.notes,
        commands=_next(options, examined),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_page(folder / PAGE, subject)
        write_text(folder / VALUES, json.dumps(examined.findings.to_dict(), indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written ({error.strerror}): give another --out FOLDER") from error
    print(f"written to {folder}: {PAGE} and {VALUES}")


def _next(options: argparse.Namespace, examined: "Examined") -> list[tuple[str, str]]:
    from mlops_cls.drifting.table import LABELLED
    from mlops_cls.drifting.training import train_command

    table = options.table or Path("retrain")
    again = f"python -m mlops_cls.drift {options.bundle} {options.collected} --table {table}"
    return [
        ("Make these pictures a table, with those to label first at its top; again after labelling:", again),
        ("Train on what is labelled:", train_command(examined.bundle, table / LABELLED)),
    ]


def _write_table(options: argparse.Namespace, examined: "Examined") -> None:
    from mlops_cls.drifting.table import LABELLED, TO_LABEL, write_table
    from mlops_cls.drifting.training import train_command

    classes = examined.bundle.card.classes
    made = write_table(options.table, examined.gathered.items, examined.unusual, classes, group=options.group)
    ready = sum(made.labelled.values())
    print(f"{options.table / LABELLED}: {ready:,} pictures of {len(made.labelled)} classes, ready to train on")
    print(f"{options.table / TO_LABEL}: {made.waiting:,} to be labelled, the most useful first; then run this again")
    print(*(f"note: {note}" for note in made.notes), sep="\n", end="\n" if made.notes else "")
    if ready:
        print(f"next  {train_command(examined.bundle, options.table / LABELLED)}")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day such as 2026-11-21 or 2026-11-21T15:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parser() -> argparse.ArgumentParser:
    from mlops_cls.drifting.table import GROUPS

    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.drift",
        description="Tell whether pictures, what the network makes of them, and its answers have changed since "
        "training (see docs/drift.md). False alarms: one in 20 looks.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", help="a bundle, its run folder, dvc:NAME or wandb:COLLECTION:ALIAS")
    parser.add_argument("collected", help="folder or gs:// that a service collected into; or any folder of pictures")
    parser.add_argument("--since", type=_moment, metavar="DAY", help="only what came then or later (UTC)")
    parser.add_argument("--until", type=_moment, metavar="DAY", help="only what came before")
    parser.add_argument(
        "--window", type=positive, default=500, metavar="N", help="pictures of a window over time (default 500)"
    )
    parser.add_argument(
        "--looks",
        type=positive,
        default=1,
        metavar="N",
        help="how often you will look, such as 30 for every night of a month: they share the one false alarm",
    )
    parser.add_argument(
        "--every-picture", action="store_true", help="test all pictures of a request, not one; if they are unrelated"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("drift"), metavar="FOLDER", help=f"for {PAGE} and {VALUES} (default drift)"
    )
    parser.add_argument("--table", type=Path, metavar="FOLDER", help="make the pictures a data=table set to train on")
    parser.add_argument(
        "--group", choices=GROUPS, default="request", help="what stays in one split of the table (default request)"
    )
    parser.add_argument("--backend", default=DEFAULT, help=f"what computes the bundle for a folder (default {DEFAULT})")
    return parser


if __name__ == "__main__":
    run_verb(main)
