"""What the service says when it refuses: problem details for HTTP (RFC 9457), a sentence for a person in each."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_cls.service import request_ids

MEDIA = "application/problem+json"
KINDS = {
    "not_a_picture": (400, "Not a picture"),
    "no_key": (401, "A key is needed"),
    "wrong_key": (403, "This key is not known"),
    "not_found": (404, "There is nothing here"),
    "not_allowed": (405, "Not in this way"),
    "timeout": (408, "The request took too long to arrive"),
    "not_collecting": (409, "Nothing is collected"),
    "too_large": (413, "Too large"),
    "too_many_pixels": (413, "Too many pixels"),
    "too_many_files": (413, "Too many pictures"),
    "wrong_type": (415, "Not of the type that is expected"),
    "wrong_form": (422, "The request cannot be understood"),
    "too_many_requests": (429, "Too many requests"),
    "internal": (500, "Something went wrong here"),
    "busy": (503, "Busy"),
    "not_ready": (503, "Not ready yet"),
}
"""Status and title by code."""

log = logging.getLogger(__name__)


class Problem(BaseModel):
    """Why a request, or one picture of it, was refused."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})

    type: str = "about:blank"
    title: str = Field(examples=["Not a picture"])
    status: int = Field(examples=[400])
    code: str = Field(examples=["not_a_picture"], json_schema_extra={"enum": list(KINDS)})
    detail: str = Field(description="A sentence for a person.")
    request_id: str


class Refusal(Exception):  # noqa: N818 - nothing went wrong here
    """Raised anywhere in a request; becomes its problem."""

    def __init__(self, code: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.code, self.detail, self.headers = code, detail, dict(headers or {})

    @property
    def status(self) -> int:
        return KINDS[self.code][0]

    def problem(self) -> Problem:
        status, title = KINDS[self.code]
        return Problem(
            title=title, status=status, code=self.code, detail=self.detail, request_id=request_ids.current.get()
        )

    def response(self) -> Response:
        return Response(self.problem().model_dump_json(), self.status, self.headers, MEDIA)


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return what FastAPI's `responses` says of problems with these codes."""
    statuses = sorted({KINDS[code][0] for code in codes})
    titles = {status: " or ".join(KINDS[code][1] for code in codes if KINDS[code][0] == status) for status in statuses}
    content = {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": title, "content": content} for status, title in titles.items()}


def install(app: FastAPI) -> None:
    """Answer every error of an app with a problem."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        return Refusal("wrong_form", in_words(error.errors())).response()

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        return _of_framework(request, error).response()


class Unexpected:
    """Innermost middleware: an error that nobody expected is logged whole, and told without a word of it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            log.debug("a client left before its answer was there")
        except Exception:
            log.exception("a request failed")
            if scope["type"] != "http" or begun:
                raise
            detail = "This was not your fault. The service's log has more under this request id."
            await Refusal("internal", detail).response()(scope, receive, send)
        except asyncio.CancelledError:
            # Nothing else cancels a request than the end of the time in which they are finished after SIGTERM.
            if begun:
                raise
            detail = "The service had to end before this was answered; send it again."
            headers = {"Retry-After": "1", "Connection": "close"}
            await Refusal("not_ready", detail, headers=headers).response()(scope, receive, send)


def in_words(errors: Any) -> str:
    """Return one sentence for what pydantic found wrong."""
    said = [f"{'.'.join(map(str, error['loc'][1:] or error['loc']))[:100]}: {error['msg']}" for error in errors]
    return "; ".join(said)[:500]


def _of_framework(request: Request, error: HTTPException) -> Refusal:
    known = {404: "not_found", 405: "not_allowed"}
    code = known.get(error.status_code, "wrong_form")
    what = f"{request.method} {request.url.path[:200]} is not known here" if code in known.values() else error.detail
    return Refusal(code, f"{what}; /docs lists what is.", headers=error.headers)
