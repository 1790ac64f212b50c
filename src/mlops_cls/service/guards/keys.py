"""Who may ask: a key in ``X-API-Key`` or ``Authorization: Bearer``, compared in a time that tells nothing of it."""

import hmac
from collections.abc import Sequence
from hashlib import sha256

from fastapi import FastAPI
from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mlops_cls.errors import ConfigError
from mlops_cls.service.guards.places import is_open
from mlops_cls.service.problems import Refusal

HEADER = "X-API-Key"
_HOW = f"{HEADER}: KEY or Authorization: Bearer KEY"


class Keys:
    """Lets those through who show a key, and everybody to what is open.

    Args:
        app: what is guarded.
        keys: any of them will do.
    """

    def __init__(self, app: ASGIApp, *, keys: Sequence[str]) -> None:
        self._app, self._digests = app, [sha256(key.encode()).digest() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None if scope["type"] != "http" or is_open(get_route_path(scope)) else self._refusal(scope)
        await (self._app if refusal is None else refusal.response())(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        key = key_of(scope)
        if not key:
            return Refusal("no_key", f"Send the key as {_HOW}.", headers={"WWW-Authenticate": "Bearer"})
        digest = sha256(key.encode()).digest()
        # All are compared, so that the time does not tell which was near.
        if not sum(hmac.compare_digest(digest, known) for known in self._digests):
            return Refusal("wrong_key", "The key that came with the request is none that is known here.")
        return None


def add_keys(app: FastAPI, keys: Sequence[str]) -> None:
    """Let those through alone who show one of these keys.

    Raises:
        ConfigError: one of them could not be sent in a header.
    """
    if not all(key.isascii() and key.isprintable() and " " not in key for key in keys):
        raise ConfigError("SERVE_API_KEYS: a key has letters that a header cannot carry; allowed is ASCII, no spaces")
    app.add_middleware(Keys, keys=keys)


def key_of(scope: Scope) -> str:
    """Return the key that a request shows, right or wrong; empty if none."""
    headers = Headers(scope=scope)
    kind, _, token = headers.get("authorization", "").partition(" ")
    return headers.get(HEADER, "") or (token.strip() if kind.lower() == "bearer" else "")
