"""Serve a classifier over HTTP: ``python -m mlops_cls.serve runs/latest/bundle --port 8080``."""

import argparse
import os
import socket
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from mlops_cls.cli import run_verb
from mlops_cls.errors import ConfigError
from mlops_cls.service import logs
from mlops_cls.service.app import create_app
from mlops_cls.service.server import BACKLOG, Server
from mlops_cls.service.settings import Settings, flag, variable

EXAMPLE = """examples:
  python -m mlops_cls.serve runs/latest/bundle
  python -m mlops_cls.serve wandb:skin_lesion:best --host 0.0.0.0 --port 80 --backend auto
  MODEL=gs://models/skin_lesion PORT=8080 SERVE_HOST=0.0.0.0 python -m mlops_cls.serve

then: curl -F file=@picture.jpg http://127.0.0.1:8080/predict, or open that address in a browser"""


def main(arguments: list[str]) -> None:
    """Serve until a signal ends it; requests that have begun are finished."""
    flags = vars(_parser().parse_args(arguments))
    settings = Settings.read(os.environ, {name: value for name, value in flags.items() if value is not None})
    if not settings.model:
        raise ConfigError("which model? Give a bundle, or its place in the variable MODEL\n" + EXAMPLE)
    app = create_app(settings=settings)
    server = Server(app, app.state.service)
    with _listening(settings) as listener, logs.saying(settings.logs, os.environ):
        server.run([listener])
    failure = app.state.service.failure
    if failure is not None:
        raise failure


def _listening(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise ConfigError(
            f"nothing can listen on {settings.host}:{settings.port} ({reason}); give another --host or --port "
            "(0 takes a free one)"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.serve",
        description="Serve a classifier over HTTP. Every setting is a flag or a variable of the environment.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", nargs="?", help=f"{Settings.model_fields['model'].description} (MODEL)")
    for name, field in Settings.model_fields.items():
        if name not in ("model", "api_keys"):  # a key does not belong in a list of processes
            parser.add_argument(flag(name), metavar=_kind(field), help=_help(name, field))
    return parser


def _kind(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return "|".join(get_args(field.annotation))
    return getattr(field.annotation, "__name__", "VALUE").upper()


def _help(name: str, field: FieldInfo) -> str:
    return f"{field.description} (default {field.default or 'none'}; {variable(name)})".replace("%", "%%")


if __name__ == "__main__":
    run_verb(main)
