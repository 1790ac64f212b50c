"""Ask a service what nobody would: python benchmarks/fuzz.py BUNDLE; exit 1 if it fails, or tells of its insides.

Two thousand requests that schemathesis makes of the service's own OpenAPI, half of them wrong on purpose, and 300
files that claim to be pictures. Every answer must be one that the OpenAPI has, none may be a 500, and none may show a
path, an address in memory, the name of a module or a traceback.
"""

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, seed, settings
from malformed import malformed, sound
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from starlette.types import ASGIApp, Receive, Scope, Send

from mlops_cls.predictor import Predictor
from mlops_cls.service.app import create_app
from mlops_cls.service.settings import Settings
from mlops_cls.service.uploads import FILE, MEDIA

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
INSIDES = re.compile(
    rb"Traceback|File \"|site-packages|/(usr|home|root|tmp|etc|work)/|\.py\b|0x[0-9a-f]{6}|<_io|object at|mlops_cls[./]"
    rb"|\b(PIL|Pillow|starlette|fastapi|pydantic|numpy|onnxruntime|uvicorn|ghostscript)\b",
    re.IGNORECASE,
)
OURS = re.compile(rb"python -m mlops_cls\.\w+")  # what a person is to type
EVERY = {"compat": "fmnist,emotion,dog_breed"}


@dataclass(slots=True)
class Found:
    """What was answered, and what should not have been."""

    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def count(self, name: str, status: int, body: bytes) -> None:
        """Note an answer to what is called `name`, and that it shows the service's insides, if it does."""
        self.statuses[f"{name} {status}"] += 1
        if status == 500:
            self.wrong.append(f"{name}: 500")
        inside = INSIDES.search(OURS.sub(b"", body))
        if status != 200 and inside:
            self.wrong.append(f"{name}: {status} shows {inside[0]!r} in {body[:300]!r}")


def fuzz(app: FastAPI, *, cases: int, pictures: int, start: int = 0) -> Found:
    """Ask a running app, and return what it answered.

    Args:
        app: of `create_app`, with its model loaded.
        cases: requests by the OpenAPI, in equal parts for each of its routes that take anything.
        pictures: malformed files.
        start: another number makes other requests.
    """
    found = Found()
    described = schemathesis.openapi.from_asgi("/openapi.json", _started(app))
    operations = [result.ok() for result in described.get_all_operations()]
    taking = [(each, mode) for each, mode in product(operations, GenerationMode) if _takes_something(each)]
    for operation, mode in taking:
        _ask(operation, mode, max(1, cases // len(taking)), start, found)
    for operation in operations:
        if MEDIA in operation.get_request_payload_content_types():
            _send(operation, "sound picture", sound(), {200}, found)
    _send(described["/predict"]["POST"], "malformed picture", malformed(pictures, seed=start), {200, 400, 413}, found)
    return found


def _started(app: FastAPI) -> ASGIApp:
    """Return an app that schemathesis does not start once more."""

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await app(scope, receive, send)

    return asked


def _takes_something(operation: Any) -> bool:
    return bool(operation.query or operation.path_parameters or operation.body)


def _ask(operation: Any, mode: GenerationMode, examples: int, start: int, found: Found) -> None:
    @seed(start)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        _checked(case, operation.label, found)

    ask()


def _send(operation: Any, name: str, files: Iterable[tuple[str, bytes]], expected: set[int], found: Found) -> None:
    for what, content in files:
        status = _checked(operation.Case(body={FILE: [content]}, media_type=MEDIA), name, found)
        if status not in expected:
            found.wrong.append(f"{operation.label}, {what}: {status}")


def _checked(case: Any, name: str, found: Found) -> int:
    answer = case.call()
    found.count(name, answer.status_code, answer.content)
    try:
        case.validate_response(answer, checks=CHECKS)
    except schemathesis.errors.FailureGroup as failures:
        found.wrong += [f"{name}: {failure}" for failure in failures.exceptions]
    return int(answer.status_code)


def main(arguments: list[str]) -> int:
    """Fuzz a bundle's service, print a count by status, and return the exit code."""
    options = _parser().parse_args(arguments)
    app = create_app(Predictor.load(options.bundle), Settings.checked(EVERY))
    began = time.monotonic()
    with TestClient(app):
        found = fuzz(app, cases=options.cases, pictures=options.pictures, start=options.seed)
    for name, count in sorted(found.statuses.items()):
        print(f"{count:6d}  {name}")
    print(f"{sum(found.statuses.values()):6d}  in {time.monotonic() - began:.0f} s; {len(found.wrong)} wrong")
    print(*found.wrong[:20], sep="\n")
    return 1 if found.wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", help="a small one is quicker, and as good")
    parser.add_argument("--cases", type=int, default=2000, help="requests by the OpenAPI (default 2000)")
    parser.add_argument("--pictures", type=int, default=300, help="malformed files (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="another one makes other requests")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
