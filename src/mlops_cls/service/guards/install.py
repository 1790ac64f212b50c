"""The guards in their order."""

from fastapi import FastAPI

from mlops_cls.service.guards.bodies import Bodies
from mlops_cls.service.guards.headers import SecurityHeaders
from mlops_cls.service.guards.keys import add_keys
from mlops_cls.service.guards.origins import add_origins
from mlops_cls.service.guards.rates import Rates
from mlops_cls.service.settings import Settings, listed


def add_guards(app: FastAPI, settings: Settings) -> None:
    """Put the guards around an app, each only where the settings ask for it.

    Each refuses before anything of the body is read. Those that refuse are within those that write headers, so that a
    page of another origin can read a refusal too.

    Raises:
        ConfigError: a key or an origin is none.
    """
    keys, origins = listed(settings.api_keys.get_secret_value()), listed(settings.cors)
    # The last that is added is the outermost.
    app.add_middleware(Bodies, described=app.openapi, seconds=settings.read_seconds)
    if settings.rate:
        app.add_middleware(Rates, per_minute=settings.rate, keyed=bool(keys))
    if keys:
        add_keys(app, keys)
    if origins:
        add_origins(app, origins)
    app.add_middleware(SecurityHeaders, shared=bool(origins))
