"""Which paths are open to everybody, and which cost next to nothing."""

from starlette._utils import get_route_path
from starlette.types import Scope

OPEN = frozenset({"/", "/health", "/ready", "/info", "/docs", "/openapi.json"})
"""Need no key: what a page needs to ask for one, what a platform asks without one, and how the rest is to be asked."""
OPEN_BELOW = ("/page/", "/docs/")
CHEAP = OPEN | {"/metrics", "/samples"}
"""Not counted against a rate: they compute nothing, and who watches a service asks often."""


def is_open(scope: Scope) -> bool:
    """Tell whether a request needs no key."""
    path = get_route_path(scope)
    return path in OPEN or path.startswith(OPEN_BELOW)


def is_cheap(scope: Scope) -> bool:
    """Tell whether a request is not counted."""
    path = get_route_path(scope)
    return path in CHEAP or path.startswith(OPEN_BELOW)
