"""The page at ``/``: a handful of static files, and nothing else that lies on the disk."""

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import Response

from mlops_cls.service.problems import Refusal

FOLDER = Path(__file__).parents[1] / "page"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Kept by a browser, and asked for again each time, so that nobody sees half of an update.
CACHING = "no-cache"

router = APIRouter(include_in_schema=False)


class Static(NamedTuple):
    """A file as it is sent; `tag` names its content, as times of files in an image are often all the same."""

    content: bytes
    media: str
    tag: str


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """Send the page itself."""
    return _sent(request, "index.html")


@router.api_route("/page/{name}", methods=["GET", "HEAD"])
async def part(request: Request, name: str) -> Response:
    """Send a file that the page is made of; no other can be asked for."""
    return _sent(request, name)


@cache
def statics() -> dict[str, Static]:
    """Return the files of the page by name."""
    return {file.name: _static(file) for file in FOLDER.iterdir() if file.suffix in KINDS}


def _static(file: Path) -> Static:
    content = file.read_bytes()
    return Static(content, f"{KINDS[file.suffix]}; charset=utf-8", f'"{hashlib.sha256(content).hexdigest()[:16]}"')


def _sent(request: Request, name: str) -> Response:
    found = statics().get(name)
    if found is None:
        raise Refusal("not_found", "The page has no such part.")
    headers = {"ETag": found.tag, "Cache-Control": CACHING}
    if found.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.content, headers=headers, media_type=found.media)
