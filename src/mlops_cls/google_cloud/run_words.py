"""What ``cloud run`` says before it does anything: what is written, what it costs, and the same by hand."""

import argparse
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlops_cls.google_cloud.deployment import KEYS, LIVENESS, STARTUP, Deployment
from mlops_cls.google_cloud.prices import RUN_DATE, run_busy, run_idle
from mlops_cls.google_cloud.rollout import TAG

HOURS = 730
"""Of a month."""


def announce(deployment: Deployment, path: Path, options: argparse.Namespace) -> None:
    """Print what is about to be deployed."""
    size = f"{deployment.cpu} CPU, {deployment.memory:g} GiB, {deployment.concurrency} requests at a time"
    print(f"written {path}: {size}, {deployment.least} to {deployment.most} instances")
    print(f"model   {deployment.model}")
    for remark in _remarks(deployment, public=bool(options.public)):
        print(f"note: {remark}")
    print(f"costs   {_cost(deployment)}")
    print(f"gcloud  {_gcloud(deployment, options)}", flush=True)


def places(options: argparse.Namespace) -> list[str]:
    """Return gcloud's words for project and region, as far as they are given."""
    found = {"--project": options.project, "--region": options.region}
    return [f"{key}={value}" for key, value in found.items() if value]


def back_line(options: argparse.Namespace) -> str:
    """Return the command that gives the traffic back."""
    return f"python -m mlops_cls.cloud run --service={options.service} {' '.join(places(options))} --rollback"


def _remarks(deployment: Deployment, *, public: bool) -> Iterator[str]:
    version = deployment.labels.get("model")
    if version is None:
        yield "the bundle was not read; without --dry-run it is checked first, and its version is a label"
    elif not deployment.model.endswith(version):
        yield "instances read that folder when they start: leave it as it is, and put another model into another folder"
    if public and KEYS not in deployment.secrets:
        yield f"anybody may ask it, without a key: --secret {KEYS}=NAME asks for one"
    if deployment.environment.get("SERVE_COLLECT", "off") != "off" and not deployment.cpu_always:
        yield "what is collected is written while requests are answered and when an instance ends; --cpu-always: always"


def _cost(deployment: Deployment) -> str:
    cpu, memory, always = deployment.cpu, deployment.memory, deployment.cpu_always
    month = deployment.least * HOURS * run_idle(cpu, memory, always=always)
    busy = run_busy(cpu, memory, always=always)
    return (
        f"about {month:.2f} USD a month at --min {deployment.least}, and {busy:.3f} for each hour in which an instance "
        f"answers; an estimate by list prices of {RUN_DATE}, without what is free"
    )


def _gcloud(deployment: Deployment, options: argparse.Namespace) -> str:
    """Return the line that deploys the same by hand; the tag is then asked, and given the traffic."""
    environment = {"MODEL": deployment.model, **deployment.environment}
    access = {None: [], True: ["--no-invoker-iam-check"], False: ["--invoker-iam-check"]}[options.public]
    labels = [f"--labels={_joined(deployment.labels)}"] if deployment.labels else []
    secrets = [f"--set-secrets={_joined(_with_versions(deployment.secrets))}"] if deployment.secrets else []
    account = [f"--service-account={deployment.service_account}"] if deployment.service_account else []
    startup, liveness = _joined({"httpGet.path": "/ready", **STARTUP}), _joined({"httpGet.path": "/health", **LIVENESS})
    words = [
        "gcloud", "run", "deploy", deployment.name, *places(options), f"--image={deployment.image}",
        f"--cpu={deployment.cpu}", f"--memory={round(deployment.memory * 1024)}Mi",
        f"--concurrency={deployment.concurrency}",
        f"--min={deployment.least}", f"--max-instances={deployment.most}", f"--port={deployment.port}",
        f"--timeout={deployment.timeout}", "--execution-environment=gen2", "--cpu-boost",
        "--no-cpu-throttling" if deployment.cpu_always else "--cpu-throttling",
        f"--startup-probe={startup}", f"--liveness-probe={liveness}", f"--set-env-vars={_joined(environment)}",
        *secrets, *labels, *account, *access, f"--tag={TAG}", "--no-traffic",
    ]  # fmt: skip
    return f"{shlex.join(words)}\n        (which gcloud takes without --no-traffic for a service that is new)"


def _joined(pairs: Mapping[str, object]) -> str:
    """Return gcloud's KEY=VALUE,…; another sign parts them where a value has a comma (gcloud topic escaping)."""
    words = [f"{key}={value}" for key, value in pairs.items()]
    sign = next(sign for sign in ",;|@" if sign == "@" or not any(sign in word for word in words))
    return ",".join(words) if sign == "," else f"^{sign}^{sign.join(words)}"


def _with_versions(secrets: Mapping[str, str]) -> dict[str, str]:
    return {name: secret if ":" in secret else f"{secret}:latest" for name, secret in secrets.items()}
