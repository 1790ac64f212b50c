"""Classify pictures: ``python -m mlops_cls.predict runs/latest pictures/ --top 3``."""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mlops_cls.cli import run_verb
from mlops_cls.errors import DataError, first_few
from mlops_cls.pictures import SUFFIXES, PictureError, Pixels
from mlops_cls.predictor import BATCH, Prediction, Predictor

EXAMPLE = """examples:
  python -m mlops_cls.predict runs/latest pictures/ --top 3
  python -m mlops_cls.predict runs/latest boot.jpg bag.png --out answers.json"""


@dataclass(frozen=True, slots=True)
class Answer:
    """One picture's prediction, or why there is none."""

    path: Path
    prediction: Prediction | None
    error: str = ""


def main(arguments: list[str]) -> None:
    """Predict, write everything that could be predicted, then fail if some pictures could not be read."""
    options = _parser().parse_intermixed_args(arguments)
    _check_writable(options.out)
    paths = find_pictures(options.pictures)
    predictor = Predictor.load(options.model, device=options.device)
    answers = list(tqdm(predict_files(predictor, paths), total=len(paths), unit=" pictures", disable=None))
    as_json = options.format == "json" or (options.format is None and options.out and options.out.suffix == ".json")
    text = _to_json(answers, options.top) if as_json else _to_csv(answers, options.top)
    if options.out is None:
        sys.stdout.write(text)
    else:
        options.out.write_text(text, encoding="utf-8")
    bad = [f"{answer.path}: {answer.error}" for answer in answers if answer.error]
    if bad and not options.skip_bad:
        raise DataError(
            f"{len(bad)} of {len(answers)} pictures could not be read ({first_few(bad, 5)}); the others were "
            "predicted. --skip-bad accepts that"
        )


def find_pictures(given: Iterable[Path]) -> list[Path]:
    """Return the files named, and those in the folders named that have a picture's ending.

    Raises:
        DataError: a path does not exist, or nothing was found.
    """
    paths: list[Path] = []
    for path in given:
        if path.is_dir():
            found = (
                file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
            )
            paths += sorted(found)
        elif path.exists():
            paths.append(path)
        else:
            raise DataError(f"{path} does not exist: give pictures or folders of pictures")
    if not paths:
        endings = " ".join(SUFFIXES)
        raise DataError(f"no pictures in {first_few(list(given))}: files with these endings are looked for: {endings}")
    return paths


def predict_files(predictor: Predictor, paths: Sequence[Path]) -> Iterator[Answer]:
    """Yield an answer per path, in order; files are decoded in threads, a batch ahead of nothing."""

    def fit(path: Path) -> Pixels | PictureError:
        try:
            return predictor.fit(path)
        except PictureError as reason:
            return reason

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), BATCH):
            chunk = paths[start : start + BATCH]
            fitted = list(pool.map(fit, chunk))
            predictions = iter(predictor.classify([item for item in fitted if not isinstance(item, PictureError)]))
            for path, item in zip(chunk, fitted, strict=True):
                yield (
                    Answer(path, None, str(item)) if isinstance(item, PictureError) else Answer(path, next(predictions))
                )


def _to_csv(answers: Sequence[Answer], top: int) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    further = [name for k in range(2, top + 1) for name in (f"label_{k}", f"confidence_{k}")]
    writer.writerow(["path", "label", "confidence", *further, "error"])
    for answer in answers:
        best = answer.prediction.top(top) if answer.prediction else []
        cells = [cell for label, probability in best for cell in (label, f"{probability:.6f}")]
        writer.writerow([answer.path, *cells, *[""] * (2 + len(further) - len(cells)), answer.error])
    return text.getvalue()


def _to_json(answers: Sequence[Answer], top: int) -> str:
    def entry(answer: Answer) -> dict[str, Any]:
        if answer.prediction is None:
            return {"path": str(answer.path), "error": answer.error}
        best = [{"label": label, "probability": round(p, 6)} for label, p in answer.prediction.top(top)]
        found = answer.prediction
        return {"path": str(answer.path), "label": found.label, "confidence": round(found.confidence, 6), "top": best}

    return json.dumps([entry(answer) for answer in answers], indent=2, ensure_ascii=False) + "\n"


def _check_writable(out: Path | None) -> None:
    if out is not None and not out.absolute().parent.is_dir():
        raise DataError(f"--out {out}: the folder {out.parent} does not exist")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.predict",
        description="Classify pictures with a trained classifier.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="a run folder or a .ckpt file")
    parser.add_argument("pictures", type=Path, nargs="+", help="pictures, or folders of pictures")
    parser.add_argument(
        "--top", type=_positive, default=1, metavar="K", help="give the K most probable classes (default 1)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write to FILE (.csv or .json), not to the screen")
    parser.add_argument("--format", choices=("csv", "json"), help="default: by the ending of --out, else csv")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
    parser.add_argument("--skip-bad", action="store_true", help="exit 0 even if some pictures could not be read")
    return parser


if __name__ == "__main__":
    run_verb(main)
