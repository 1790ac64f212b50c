"""One secret of Google Secret Manager, by its REST API: https://cloud.google.com/secret-manager/docs/reference/rest."""

import base64
import os
from typing import Any

from mlops_cls.errors import ConfigError

HOST = "https://secretmanager.googleapis.com"
EMULATOR = "SECRET_MANAGER_EMULATOR_HOST"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
PATIENCE = 20  # seconds


def read_secret(name: str) -> str:
    """Return the text of ``projects/P/secrets/S``, of its newest version unless ``/versions/V`` is given.

    SECRET_MANAGER_EMULATOR_HOST=host:port asks a stand-in on that address instead of Google, without credentials.

    Raises:
        ConfigError: no such secret, no permission, no credentials, or the package google-auth is missing.
        ConnectionError: Secret Manager cannot be reached.
    """
    version = name if "/versions/" in name else f"{name}/versions/latest"
    emulator = os.environ.get(EMULATOR)
    answer = _get(f"http://{emulator}" if emulator else HOST, f"/v1/{version}:access", anonymous=bool(emulator))
    if answer.status_code == 200:
        return base64.b64decode(answer.json()["payload"]["data"]).decode().strip()
    if answer.status_code >= 500:
        raise ConnectionError(f"Secret Manager answered {answer.status_code}")
    raise ConfigError(f"logger.secret={name} {_why(answer.status_code, name)}")


def _why(status: int, name: str) -> str:
    project, secret = name.split("/")[1], name.split("/")[3]
    if status == 404:
        return f"does not exist; what there is: gcloud secrets list --project={project}"
    if status in (401, 403):
        return (
            "may not be read by this account; to allow it: gcloud secrets add-iam-policy-binding "
            f"{secret} --project={project} --member=user:YOU --role=roles/secretmanager.secretAccessor"
        )
    return f"cannot be read (Secret Manager answered {status}); is that version enabled?"


def _get(host: str, path: str, *, anonymous: bool) -> Any:
    try:
        import google.auth
        import requests
        from google.auth.credentials import AnonymousCredentials
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.auth.transport.requests import AuthorizedSession
    except ImportError as error:
        raise ConfigError(
            "logger.secret needs the package google-auth: pip install 'mlops-cls[secrets]' (or uv sync --extra secrets)"
        ) from error
    try:
        credentials = AnonymousCredentials() if anonymous else google.auth.default([SCOPE])[0]
        with AuthorizedSession(credentials) as session:
            return session.get(host + path, timeout=PATIENCE)
    except (requests.ConnectionError, requests.Timeout, TransportError) as error:
        raise ConnectionError("Secret Manager cannot be reached") from error
    except GoogleAuthError as error:
        raise ConfigError(
            f"logger.secret needs Google credentials ({str(error).splitlines()[0]}): gcloud auth "
            "application-default login"
        ) from error
