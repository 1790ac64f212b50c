"""How often one client may ask for what computes something."""

import math
import secrets
import time
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from mlops_cls.service.guards.keys import key_of
from mlops_cls.service.guards.places import is_cheap
from mlops_cls.service.problems import Refusal

BUCKETS = 2**14
"""What is counted: two clients share a count with a chance of one in so many, and no number of them takes up more."""


class Rates:
    """Refuses a client that asks more often than it may; see `limits` for the sliding window.

    A client is its key, or its address as the server tells it, which believes trusted proxies alone.

    Args:
        app: what is guarded.
        per_minute: requests of one client.
        keyed: whether keys are checked before; if not, they say nothing.
    """

    def __init__(self, app: ASGIApp, *, per_minute: int, keyed: bool) -> None:
        self._app, self._keyed = app, keyed
        self._limit = RateLimitItemPerMinute(per_minute)
        self._counter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._salt = secrets.token_bytes(16)  # nobody can choose whose bucket to fill

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None if scope["type"] != "http" or is_cheap(get_route_path(scope)) else self._refusal(scope)
        await (self._app if refusal is None else refusal.response())(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        bucket = self._bucket(scope)
        if self._counter.hit(self._limit, bucket):
            return None
        seconds = max(1, math.ceil(self._counter.get_window_stats(self._limit, bucket).reset_time - time.time()))
        detail = f"At most {self._limit.amount} requests a minute are answered. Try again in {seconds} s."
        return Refusal("too_many_requests", detail, headers={"Retry-After": str(seconds)})

    def _bucket(self, scope: Scope) -> str:
        client = key_of(scope) if self._keyed else _network((scope.get("client") or ("",))[0])
        digest = blake2b(client.encode(), digest_size=8, key=self._salt).digest()
        return str(int.from_bytes(digest) % BUCKETS)


def _network(address: str) -> str:
    """Return an address, or the /64 of an IPv6 address, of which one household has as many as it likes."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(int(parsed) >> 64) if isinstance(parsed, IPv6Address) and not parsed.ipv4_mapped else address
