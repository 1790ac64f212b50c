"""``GET /samples``: the test pictures that a bundle was exported with, to look at and to try the classifier on."""

import io
import secrets
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query
from PIL import Image
from starlette.responses import Response

from mlops_cls.pictures import PictureError
from mlops_cls.service import request_ids, shapes
from mlops_cls.service.engine import Seen, Service
from mlops_cls.service.problems import Refusal, documented
from mlops_cls.service.routes.deps import ServiceOf
from mlops_cls.service.routes.predict import prediction

router = APIRouter(tags=["samples"])
PNG = "image/png"
SMALLEST, LARGEST = 16, 1024
SIDE = 280

PROBLEMS = documented("not_found", "wrong_form", "not_ready")
_HEADERS = {
    name: {"description": text, "schema": {"type": "string"}}
    for name, text in (
        ("X-Label", "The true label, percent-encoded"),
        ("X-Label-Index", "Of the label in the model's classes"),
        ("X-Sample-Id", "Which sample it is"),
    )
}
PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture",
        "headers": _HEADERS,
        "content": {PNG: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/samples", responses=PROBLEMS, summary="Which samples are there?", operation_id="samples")
def samples(service: ServiceOf) -> shapes.Samples:
    """List the test pictures that came with the model, by their ids, with the true label of each."""
    listed = [shapes.Sample(id=number, label=sample["label"]) for number, sample in enumerate(samples_of(service))]
    return shapes.Samples(samples=listed)


@router.get(
    "/samples/image",
    responses=PICTURE | PROBLEMS,
    response_class=Response,
    summary="A sample's picture",
    operation_id="sample_image",
)
def sample_image(
    service: ServiceOf,
    id: Annotated[int | None, Query(ge=0, description="Of the sample; without it, any.")] = None,
    size: Annotated[int, Query(ge=SMALLEST, le=LARGEST, description="Side of the square, in pixels.")] = SIDE,
) -> Response:
    """Give a sample as PNG, as the model sees it, at another size."""
    found = samples_of(service)
    return image_of(service, secrets.randbelow(len(found)) if id is None else id, size)


@router.get(
    "/samples/{id}/predict",
    responses=PROBLEMS | documented("busy"),
    summary="Classify a sample",
    operation_id="sample_predict",
)
async def sample_predict(id: int, service: ServiceOf) -> shapes.SamplePredictions:
    """Classify a sample as any other picture, and tell its true label beside; it is not collected."""
    seen, label = await answer_sample(service, id)
    answer = prediction(seen, shapes.Options()).model_dump()
    return shapes.SamplePredictions(
        request_id=request_ids.current.get(),
        model_version=str(service.version),
        predictions=[shapes.SamplePrediction(**answer, true_label=label, true_label_index=index_of(service, label))],
    )


def samples_of(service: Service) -> list[dict[str, Any]]:
    """Return the samples of the bundle, at least one.

    Raises:
        Refusal: not_found or not_ready.
    """
    bundle = service.model().bundle
    found = bundle.samples if bundle else []
    if not found:
        how = "python -m mlops_cls.export RUN --samples 20"
        raise Refusal("not_found", f"This model came without samples; {how} makes a bundle that has some.")
    return found


def sample_of(service: Service, number: int) -> tuple[Path, str]:
    """Return a sample's file and its true label.

    Raises:
        Refusal: not_found or not_ready.
    """
    found = samples_of(service)
    if not 0 <= number < len(found):
        raise Refusal("not_found", f"There is no sample {number}; there are 0 to {len(found) - 1}.")
    return found[number]["file"], found[number]["label"]


def index_of(service: Service, label: str) -> int:
    """Return the index of a label in the model's classes."""
    return service.model().card.classes.index(label)


def image_of(service: Service, number: int, size: int) -> Response:
    """Return a sample as PNG of so many pixels a side.

    Raises:
        Refusal: not_found or not_ready.
    """
    file, label = sample_of(service, number)
    with Image.open(file) as picture:
        # Enlarged, its pixels stay what they are: that is all that the model sees.
        kind = Image.Resampling.NEAREST if size >= picture.width else Image.Resampling.LANCZOS
        content = io.BytesIO()
        picture.resize((size, size), kind).save(content, "PNG")
    # A header carries ASCII alone.
    headers = {"X-Label": quote(label, safe=" /"), "X-Label-Index": str(index_of(service, label))}
    return Response(content.getvalue(), media_type=PNG, headers=headers | {"X-Sample-Id": str(number)})


async def answer_sample(service: Service, number: int) -> tuple[Seen, str]:
    """Return the answer to a sample, and its true label.

    Raises:
        Refusal: not_found, not_ready or busy.
    """
    file, label = sample_of(service, number)
    (seen,) = await service.answer(request_ids.current.get(), [file.read_bytes()], observed=False)
    assert not isinstance(seen, PictureError)
    return seen, label
