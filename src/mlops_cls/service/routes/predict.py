"""``POST /predict`` and ``POST /predict/batch``: pictures to answers."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from mlops_cls.pictures import PictureError
from mlops_cls.service import request_ids, shapes
from mlops_cls.service.engine import Seen, Service
from mlops_cls.service.leaving import unless_gone
from mlops_cls.service.problems import Refusal, documented, in_words
from mlops_cls.service.routes.deps import ServiceOf
from mlops_cls.service.uploads import FILE, MEDIA, read_form

router = APIRouter(tags=["predict"])
single = APIRouter(tags=["predict"])
"""``POST /predict`` alone, in whose place an older client may want an answer with more fields."""
Answered = Sequence[Seen | PictureError]

_PICTURES = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
_OPTIONS = shapes.Options.model_json_schema()["properties"]
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            MEDIA: {
                "schema": {
                    "type": "object",
                    "required": [FILE],
                    "properties": {FILE: _PICTURES, **_OPTIONS},
                    "additionalProperties": False,
                }
            }
        },
    }
}
PROBLEMS = documented(
    "not_a_picture", "timeout", "too_large", "too_many_pixels", "too_many_files", "wrong_type", "wrong_form", "busy"
)


@single.post("/predict", responses=PROBLEMS, openapi_extra=FORM, summary="Classify pictures", operation_id="predict")
async def predict(
    request: Request, service: ServiceOf, options: Annotated[shapes.Options, Query()]
) -> shapes.Predictions:
    """Classify one or several pictures; one that is refused refuses them all."""
    body = await answer_all(request, service, options)
    return Response(body.model_dump_json(), media_type="application/json")  # type: ignore[return-value]


@router.post(
    "/predict/batch",
    responses={207: {"model": shapes.BatchPredictions, "description": "Some were refused"}, **PROBLEMS},
    openapi_extra=FORM,
    summary="Classify pictures, each for itself",
    operation_id="predict_batch",
)
async def predict_batch(
    request: Request, service: ServiceOf, options: Annotated[shapes.Options, Query()]
) -> shapes.BatchPredictions:
    """Classify several pictures; of one that is refused, the reason stands in its place, and the status is 207."""
    answered, options = await answer_form(request, service, options)
    request_id = request_ids.current.get()
    body = shapes.BatchPredictions(
        request_id=request_id,
        model_version=str(service.version),
        predictions=[
            prediction(one, options)
            if isinstance(one, Seen)
            else shapes.Refused(id=f"{request_id}-{number}", problem=refusal_of(one, number, len(answered)).problem())
            for number, one in enumerate(answered)
        ],
    )
    status = 200 if all(isinstance(one, Seen) for one in answered) else 207
    return Response(body.model_dump_json(), status, media_type="application/json")  # type: ignore[return-value]


async def answer_all(request: Request, service: Service, options: shapes.Options) -> shapes.Predictions:
    """Return the answers to all pictures of a form.

    Raises:
        Refusal: of the form, or of its first picture that is refused.
    """
    answered, options = await answer_form(request, service, options)
    for number, one in enumerate(answered):
        if isinstance(one, PictureError):
            raise refusal_of(one, number, len(answered))
    return shapes.Predictions(
        request_id=request_ids.current.get(),
        model_version=str(service.version),
        predictions=[prediction(one, options) for one in answered if isinstance(one, Seen)],
    )


async def answer_form(request: Request, service: Service, options: shapes.Options) -> tuple[Answered, shapes.Options]:
    """Return what the pictures of a form were answered, and the options of its query and fields together."""
    service.model()
    service.check_room()
    _check_once(request)
    form = await read_form(request, service.settings)
    options = _merged(options, form.fields)
    return await unless_gone(request, service.answer(request_ids.current.get(), form.pictures)), options


def prediction(seen: Seen, options: shapes.Options) -> shapes.Prediction:
    """Return an answer as clients get it."""
    found = seen.prediction
    abstains = found.abstains if options.threshold is None else found.confidence < options.threshold
    return shapes.Prediction(
        id=seen.id,
        label=found.label,
        index=found.index,
        confidence=found.confidence,
        probabilities=dict(found.top(options.top or len(found.probabilities))),
        attributes=found.attributes,
        abstains=abstains,
    )


def refusal_of(error: PictureError, number: int, pictures: int) -> Refusal:
    """Return why a picture was not answered."""
    which = "The picture" if pictures == 1 else f"Picture {number + 1} of {pictures}"
    if str(error).startswith("more than"):
        return Refusal("too_many_pixels", f"{which} has {error}, which is the limit.")
    # Why a decoder gave up is of use to nobody who is not looking for a hole in it.
    reason = "it is damaged or incomplete" if str(error).startswith("cannot be decoded") else str(error)
    return Refusal("not_a_picture", f"{which} cannot be used: {reason}.")


def _check_once(request: Request) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    for name in shapes.Options.model_fields:
        if names.count(name) > 1:
            raise Refusal("wrong_form", f"{name}: given {names.count(name)} times in the query; give it once.")


def _merged(options: shapes.Options, fields: dict[str, str]) -> shapes.Options:
    given: dict[str, Any] = options.model_dump(exclude_none=True)
    twice = given.keys() & fields.keys()
    if twice:
        raise Refusal("wrong_form", f"{', '.join(sorted(twice))}: given in the query and in the form; give it once.")
    try:
        return shapes.Options.model_validate(given | fields)
    except ValidationError as error:
        raise Refusal("wrong_form", in_words(error.errors())) from None
