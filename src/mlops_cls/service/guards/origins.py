"""Pages of which other origins may ask, and read the answers."""

import re
from collections.abc import Sequence

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from mlops_cls.errors import ConfigError
from mlops_cls.service.guards.keys import HEADER

ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d+)?|\*")


def add_origins(app: FastAPI, origins: Sequence[str]) -> None:
    """Let pages of these origins ask; no cookies are ever sent along.

    Raises:
        ConfigError: one of them is no origin.
    """
    for origin in origins:
        if not ORIGIN.fullmatch(origin):
            raise ConfigError(f"--cors {origin}: an origin has no path, such as https://example.org:8443; or give *")
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=[HEADER, "Authorization", "X-Request-ID"],
        expose_headers=["X-Request-ID", "Retry-After", "X-Label", "X-Label-Index", "X-Sample-Id"],
    )
