"""What the OpenAPI says of routes beside what each says of itself: keys, limits and what can go wrong with any."""

from functools import cache
from typing import Any

from fastapi import FastAPI

from mlops_cls.service.guards.keys import HEADER
from mlops_cls.service.guards.places import is_cheap, is_open
from mlops_cls.service.problems import documented
from mlops_cls.service.settings import Settings

TAGS = {
    "predict": "Pictures in, classes with calibrated probabilities out.",
    "samples": "Test pictures that came with the model, to try it on.",
    "state": "Whether the service lives, can answer, and what it answers with.",
    "monitoring": "What people tell of earlier answers.",
    "for older clients": "Routes and fields of services that this one took the place of.",
}
KEYS = {
    "key": {"type": "apiKey", "in": "header", "name": HEADER},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def describe(app: FastAPI, settings: Settings) -> None:
    """Have an app's OpenAPI tell of its guards too."""

    @cache
    def described() -> dict[str, Any]:
        schema = FastAPI.openapi(app)
        operations = [(path, each) for path, route in schema["paths"].items() for each in route.values()]
        used = {tag for _, operation in operations for tag in operation.get("tags", ())}
        schema["tags"] = [{"name": name, "description": text} for name, text in TAGS.items() if name in used]
        if settings.api_keys.get_secret_value():
            schema["components"]["securitySchemes"] = KEYS
        for path, operation in operations:
            _add(operation, path, settings)
        return schema

    app.openapi = described  # type: ignore[method-assign]  # as FastAPI documents it


def _add(operation: dict[str, Any], path: str, settings: Settings) -> None:
    codes = ["too_large", "timeout", "internal"]
    if settings.api_keys.get_secret_value() and not is_open(path):
        codes += ["no_key", "wrong_key"]
        operation["security"] = [{name: []} for name in KEYS]
    if settings.rate and not is_cheap(path):
        codes.append("too_many_requests")
    for status, response in documented(*codes).items():
        operation["responses"].setdefault(str(status), response)
