"""Templates of this package, filled in; a page brings its style along and may load nothing else."""

import base64
import hashlib
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mlops_cls.data.doctor.findings import counted
from mlops_cls.report import numbers
from mlops_cls.report.words import called

FILTERS = (
    "percent",
    "millions",
    "points",
    "signed",
    "decimal",
    "span",
    "chance",
    "seconds",
    "day",
    "name_of",
    "breakable",
)


def render_page(template: str, **values: Any) -> str:
    """Return a whole HTML page, whose policy allows this style and pictures within the page, and nothing else."""
    style = _source("style.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return _environment(True).get_template(template).render(style=style, policy=policy, **values)


def render_text(template: str, **values: Any) -> str:
    """Return a text, in which nothing is escaped but what the template says."""
    return _environment(False).get_template(template).render(**values)


def _source(name: str) -> str:
    environment = _environment(True)
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


@cache
def _environment(autoescape: bool) -> Environment:
    made = Environment(
        loader=PackageLoader("mlops_cls.report"),
        autoescape=autoescape,  # noqa: S701 (Markdown has its own rules)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({name: getattr(numbers, name) for name in FILTERS}, counted=counted, called=called)
    return made
