"""What every verb says when it is asked for `--help`."""

import os
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from importlib import import_module
from io import StringIO
from unittest.mock import patch

from writing import block, heading

from mlops_cls.cli import VERBS
from mlops_cls.cloud import VERBS as OF_CLOUD

WIDTH = 100
SETTINGS = "\n\nChoose one of each group"
"""Where the help of a verb that takes settings begins to list them, as pages of their own do."""


def described() -> str:
    """Return a heading for each verb, and the help of it."""
    return "\n\n".join(part for verb, line in VERBS.items() for part in _verb(verb, line))


def _verb(verb: str, line: str) -> Iterator[str]:
    yield heading(2, verb, verb)
    yield from _help(line, f"mlops_cls.{verb}")
    for below, its_line in OF_CLOUD.items() if verb == "cloud" else ():
        yield heading(3, f"cloud {below}", f"cloud-{below}")
        yield from _help(its_line, f"mlops_cls.google_cloud.{below}")


def _help(line: str, module: str) -> Iterator[str]:
    said, _, settings = help_of(module).partition(SETTINGS)
    yield f"{line[0].upper()}{line[1:]}."
    yield block("text", said)
    if settings:
        yield "Takes any [setting](settings.md), and [files of settings](configs.md)."


def help_of(module: str) -> str:
    """Return what the verb of a module prints."""
    said = StringIO()
    with redirect_stdout(said), suppress(SystemExit), patch.dict(os.environ, COLUMNS=str(WIDTH)):
        import_module(module).main(["--help"])
    return said.getvalue()
