"""Which paths are open to everybody, and which cost next to nothing."""

OPEN = frozenset({"/", "/health", "/ready", "/info", "/docs", "/openapi.json"})
"""Need no key: what a page needs to ask for one, what a platform asks without one, and how the rest is to be asked."""
OPEN_BELOW = ("/page/", "/docs/")
CHEAP = OPEN | {"/metrics", "/samples"}
"""Not counted against a rate: they compute nothing, and who watches a service asks often."""


def is_open(path: str) -> bool:
    """Tell whether a route needs no key."""
    return path in OPEN or path.startswith(OPEN_BELOW)


def is_cheap(path: str) -> bool:
    """Tell whether requests to a route are not counted."""
    return path in CHEAP or path.startswith(OPEN_BELOW)
