"""``GET /docs``: all routes on a page that can try them, from this host alone."""

from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

from mlops_cls.service.guards.headers import CONTENT
from mlops_cls.service.problems import Refusal

router = APIRouter(include_in_schema=False)

_OURS, _SWAGGER = "mlops_cls.service.docs", "fastapi_standalone_docs.static.swagger"
_FILES = {
    "swagger-ui-bundle.js": (_SWAGGER, "text/javascript"),
    "swagger-ui.css": (_SWAGGER, "text/css"),
    "start.js": (_OURS, "text/javascript"),
}
# Swagger UI writes styles into its elements.
_HEADERS = {"Content-Security-Policy": CONTENT.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")}


@router.get("/docs")
async def page() -> Response:
    """Return the page."""
    return Response(_content(_OURS, "index.html"), media_type="text/html", headers=_HEADERS)


@router.get("/docs/{name}")
async def part(name: str) -> Response:
    """Return a file that the page needs."""
    if name not in _FILES:
        raise Refusal("not_found", "The page at /docs has no such part.")
    package, media = _FILES[name]
    return Response(_content(package, name), media_type=media, headers={"Cache-Control": "max-age=3600"})


@cache
def _content(package: str, name: str) -> bytes:
    return files(package).joinpath(name).read_bytes()
