"""From the command line of ``cloud run`` to the deployment that is meant."""

import argparse
from collections.abc import Sequence

from mlops_cls.bundle import Bundle
from mlops_cls.errors import ConfigError
from mlops_cls.google_cloud.api import known_project
from mlops_cls.google_cloud.deployment import OURS, Deployment
from mlops_cls.google_cloud.spec import commit_label, given_labels
from mlops_cls.service.settings import PREFIX, UNPREFIXED, variable

DRAIN_SECONDS = 8
"""Cloud Run ends an instance 10 seconds after SIGTERM."""
A_CORE, AT_MOST = 16, 64
"""Requests at a time for each processor, and in all: docs/load.md has what was measured."""


def make_deployment(options: argparse.Namespace, model: str, bundle: Bundle | None) -> Deployment:
    """Return what is to be deployed; not checked yet, apart from the form of its options.

    Args:
        options: of ``cloud run``.
        model: where the bundle lies.
        bundle: it, if it was read.

    Raises:
        ConfigError: an option has another form than it says.
    """
    version = {"model": bundle.card.digest} if bundle else {}
    concurrency = options.concurrency or min(AT_MOST, A_CORE * options.cpu)
    return Deployment(
        name=options.service,
        image=options.image,
        model=model,
        cpu=options.cpu,
        memory=options.memory,
        concurrency=concurrency,
        least=options.min,
        most=options.max,
        port=options.port,
        timeout=options.timeout,
        cpu_always=options.cpu_always,
        environment=_environment(options, concurrency),
        secrets=_pairs("--secret", options.secret),
        labels={**version, **commit_label(), **given_labels(options.label)},
        service_account=options.service_account,
    )


def _environment(options: argparse.Namespace, concurrency: int) -> dict[str, str]:
    settings = _pairs("--setting", options.setting)
    project = known_project(options.project)
    traced = {"GOOGLE_CLOUD_PROJECT": project} if project else {}
    ours = {"SERVE_QUEUE": str(concurrency), "SERVE_DRAIN_SECONDS": str(DRAIN_SECONDS), **traced}
    for name in settings:
        if name in UNPREFIXED:
            raise ConfigError(
                f"--setting {name}=… is an option of its own here: {'BUNDLE' if name == 'model' else '--port'}"
            )
    plain = _pairs("--env", options.env)
    for name in plain:
        if name in OURS or name.startswith(PREFIX):
            of = "Cloud Run" if name.startswith("K_") else "this command: BUNDLE, --port and --setting NAME=VALUE"
            raise ConfigError(f"--env {name}=… is set by {of}")
    return ours | {variable(name.replace("-", "_")): value for name, value in settings.items()} | plain


def _pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    for word, (name, sign, value) in zip(words, pairs, strict=True):
        if not (name and sign and value):
            raise ConfigError(f"{option} {word if option != '--env' else name} is not of the form NAME=VALUE")
    return {name: value for name, _, value in pairs}
