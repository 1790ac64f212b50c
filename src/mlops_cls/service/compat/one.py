"""The form of the older clients: one picture."""

from fastapi import Request

from mlops_cls.pictures import PictureError
from mlops_cls.service import request_ids
from mlops_cls.service.engine import Seen, Service
from mlops_cls.service.leaving import unless_gone
from mlops_cls.service.problems import Refusal, documented
from mlops_cls.service.routes.predict import refusal_of
from mlops_cls.service.uploads import FILE, MEDIA, Form, read_form

TAG = "for older clients"
PROBLEMS = documented(
    "not_a_picture", "timeout", "too_large", "too_many_pixels", "wrong_type", "wrong_form", "busy", "not_ready"
)
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            MEDIA: {
                "schema": {
                    "type": "object",
                    "required": [FILE],
                    "properties": {FILE: {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}


async def answer_one(request: Request, service: Service) -> Seen:
    """Return the answer to the one picture of a form; other fields are not looked at.

    Raises:
        Refusal: there is another number of pictures, or it is refused.
    """
    return (await answer_named(request, service))[0]


async def answer_named(request: Request, service: Service) -> tuple[Seen, Form]:
    """Return the answer to the one picture of a form, and the form.

    Raises:
        Refusal: there is another number of pictures, or it is refused.
    """
    service.model()
    service.check_room()
    form = await read_form(request, service.settings)
    if len(form.pictures) != 1:
        raise Refusal("wrong_form", f"One picture is expected here, and {len(form.pictures)} came.")
    (answer,) = await unless_gone(request, service.answer(request_ids.current.get(), form.pictures))
    if isinstance(answer, PictureError):
        raise refusal_of(answer, 0, 1)
    return answer, form
