"""What is asked under load: JPEGs, and for each side the label that its own predictor gives them."""

import io
import sys
from pathlib import Path

from clients import Question, question
from PIL import Image
from served import PLAIN

from mlops_cls.backends.kinds import DEFAULT
from mlops_cls.bundle import Bundle
from mlops_cls.predictor import Prediction, Predictor

SIZE, QUALITY = (600, 450), 90
MARGIN = 0.05
"""By which the best class must lead, so that rounding to bfloat16 or 8 bits does not decide on the label."""
MOST = 64


def pictures_of(model: Path, folder: Path | None) -> list[bytes]:
    """Return the JPEGs of a folder, or a bundle's samples enlarged to `SIZE`."""
    if folder is not None:
        return [file.read_bytes() for file in sorted(folder.glob("*.jp*g"))[:MOST]]
    samples = [sample["file"] for sample in Bundle.open(model).samples[:MOST]]
    if not samples:
        sys.exit(f"{model} has no samples: give --pictures FOLDER, or python -m mlops_cls.export RUN --samples 24")
    return list(map(_enlarged, samples))


def questions_of(model: Path, pictures: list[bytes], side: str) -> list[Question]:
    """Return the pictures with the labels that a side must answer; those that are nearly another class are left out."""
    # The plain design computes what onnxruntime computes in float32.
    name = side.partition(":")[0]
    predictor = Predictor.load(model, backend=DEFAULT if name == PLAIN else name)
    answers = [predictor(picture) for picture in pictures]
    return [
        question(picture, answer.label) for picture, answer in zip(pictures, answers, strict=True) if _clear(answer)
    ]


def _clear(answer: Prediction) -> bool:
    (_, first), (_, second) = answer.top(2)
    return first - second >= MARGIN


def _enlarged(file: Path) -> bytes:
    written = io.BytesIO()
    with Image.open(file) as picture:
        picture.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC).save(written, "JPEG", quality=QUALITY)
    return written.getvalue()


def odd(questions: list[Question]) -> list[Question]:
    """Return good questions with others among them: a file that ends early, one that is no picture, a large picture."""
    first = questions[0]
    with Image.open(io.BytesIO(first.picture)) as picture:
        large, written = picture.resize((4000, 3000)), io.BytesIO()
        large.save(written, "JPEG", quality=QUALITY)
    refused = [question(first.picture[: len(first.picture) // 2], "", status=400), question(b"text", "", status=400)]
    return [*questions, *refused, question(written.getvalue(), first.label)]
