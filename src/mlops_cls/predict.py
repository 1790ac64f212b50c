"""Classify pictures: ``python -m mlops_cls.predict runs/latest pictures/ --top 3``."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from mlops_cls.backends import kinds
from mlops_cls.cli import positive, run_verb
from mlops_cls.errors import ConfigError, DataError
from mlops_cls.predicting.answers import Answer, predict_files
from mlops_cls.predicting.contact import MOST, draw_contact, positions
from mlops_cls.predicting.finding import find_pictures
from mlops_cls.predicting.tally import Tally
from mlops_cls.predicting.writing import KINDS, Columns, write
from mlops_cls.predictor import MAX_PIXELS, Predictor

EXAMPLE = """examples:
  python -m mlops_cls.predict runs/latest pictures/ --top 3
  python -m mlops_cls.predict runs/latest boot.jpg bag.png --out answers.json
  python -m mlops_cls.predict runs/latest/bundle 'new/**/*.jpg' --out answers.parquet --show sheet.png"""

SHEET = "contact_sheet.png"


def main(arguments: list[str]) -> None:
    """Predict, write everything that could be predicted, then fail if some pictures could not be read."""
    options = _parser().parse_intermixed_args(arguments)
    _check_writable("--show", options.show)
    _check_writable("--out", options.out)
    kind = _kind(options.format, options.out)
    paths = find_pictures(options.pictures)
    predictor = Predictor.load(
        options.model, device=options.device, backend=options.backend, max_pixels=options.max_pixels
    )
    tally, started = Tally(predictor.card), time.monotonic()
    shown = positions(len(paths)) if options.show else set()
    answers = tally.counted(_watched(predict_files(predictor, paths, shown=shown), len(paths), options.out))
    with _explained(options.out):
        write(options.out, kind, Columns(predictor.card, options.top), answers)
    if options.show:
        with _explained(options.show):
            draw_contact(options.show, tally.kept, total=len(paths))
    _say(tally, time.monotonic() - started, [options.out, options.show])
    if tally.unreadable and not options.skip_bad:
        raise DataError(f"{tally.failure()}; the others were predicted. --skip-bad accepts that")


def _watched(answers: Iterator[Answer], total: int, out: Path | None) -> Iterator[Answer]:
    # On a terminal the answers themselves show how far it is, and a bar would come between them.
    disable = True if out is None and sys.stdout.isatty() else None
    return iter(tqdm(answers, total=total, unit=" pictures", disable=disable))


@contextmanager
def _explained(out: Path | None) -> Iterator[None]:
    """Turn what goes wrong in writing into what to do about it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DataError(f"{out or 'standard output'} cannot be written ({error.strerror or error})") from error


def _say(tally: Tally, seconds: float, written: Sequence[Path | None]) -> None:
    """Tell a person what it came to; not on standard output, which may be read by a program."""
    if tally.total > 1:
        print(*tally.lines(seconds), sep="\n", file=sys.stderr)
    for path in filter(None, written):
        print(f"written to {path}", file=sys.stderr)


def _kind(given: str | None, out: Path | None) -> str:
    ending = "" if out is None else out.suffix.removeprefix(".").lower()
    kind = given or ending or "csv"
    if kind not in KINDS:
        raise ConfigError(f"--out {out}: its ending says no format; allowed are .csv .json .parquet, or give --format")
    if kind == "parquet" and out is None:
        raise ConfigError("--format parquet is no text for the screen: give --out FILE.parquet")
    return kind


def _check_writable(option: str, file: Path | None) -> None:
    if file is None:
        return
    if file.is_dir():
        raise DataError(f"{option} {file} is a folder: give the name of a file")
    if not file.absolute().parent.is_dir():
        raise DataError(f"{option} {file}: the folder {file.parent} does not exist")
    if option == "--show" and file.suffix.lower() != ".png":
        raise DataError(f"--show {file} does not end in .png: name a file, or put --show last to name none")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.predict",
        description="Classify pictures with a trained classifier.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model", help="a bundle, a run folder, a .ckpt file, dvc:NAME, wandb:COLLECTION:ALIAS, gs://BUCKET/FOLDER"
    )
    parser.add_argument("pictures", nargs="+", help="pictures, folders of pictures, or patterns such as 'new/*.jpg'")
    parser.add_argument(
        "--top", type=positive, default=1, metavar="K", help="give the K most probable classes (default 1)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write to FILE (.csv, .json or .parquet)")
    parser.add_argument("--format", choices=KINDS, help="default: by the ending of --out, else csv")
    parser.add_argument(
        "--show", type=Path, nargs="?", const=Path(SHEET), metavar="FILE.png",
        help=f"draw a contact sheet of up to {MOST} pictures (default {SHEET})",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="of a checkpoint: auto, cpu, cuda or mps")
    parser.add_argument(
        "--backend",
        default=kinds.DEFAULT,
        help=f"of a bundle: {', '.join(kinds.KINDS)} or auto (default {kinds.DEFAULT})",
    )
    parser.add_argument(
        "--max-pixels", type=positive, default=MAX_PIXELS, metavar="N", help="refuse larger pictures unread"
    )
    parser.add_argument("--skip-bad", action="store_true", help="exit 0 even if some pictures could not be read")
    return parser


if __name__ == "__main__":
    run_verb(main)
