"""Google's REST APIs with the credentials of this machine, or a stand-in of them without any."""

import os
from typing import Any

from mlops_cls.errors import ArtifactError, ConfigError

STAND_IN = "MLOPS_CLS_GOOGLE"
"""Variable with the address of a stand-in, http://HOST:PORT, which is asked for /SERVICE/… without credentials."""
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
PATIENCE = 20  # seconds
LOG_IN = "gcloud auth application-default login"
EXTRA = "pip install 'mlops-cls[vertex]' (or uv sync --extra vertex)"


class NoAnswerError(Exception):
    """A service did not answer, or that it cannot now."""


class Api:
    """Asks Google's services in JSON. One at a time, for one command.

    Raises:
        ConfigError: google-auth is missing, or there are no credentials.
    """

    def __init__(self) -> None:
        self._stand_in = stand_in()
        self._session = _session(anonymous=self._stand_in is not None)

    def ask(
        self, service: str, path: str, body: dict[str, Any] | None = None, *, method: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Return status and JSON of a GET, or of a POST of `body`.

        Args:
            service: name before ``.googleapis.com``, such as ``storage``.
            path: from ``/`` on.
            body: what to send.
            method: if it is neither GET nor POST.

        Raises:
            NoAnswerError: no answer, or one that says to try later.
            ConfigError: the credentials are not accepted.
        """
        import requests
        from google.auth.exceptions import RefreshError, TransportError

        place = f"{self._stand_in}/{service}" if self._stand_in else f"https://{service}.googleapis.com"
        try:
            answer = self._session.request(
                method or ("GET" if body is None else "POST"), place + path, json=body, timeout=PATIENCE
            )
        except (requests.ConnectionError, requests.Timeout, TransportError) as error:
            raise NoAnswerError(f"{service}.googleapis.com does not answer") from error
        except RefreshError as error:
            raise ConfigError(f"Google does not accept the credentials of this machine: {LOG_IN}") from error
        if answer.status_code == 429 or answer.status_code >= 500:
            raise NoAnswerError(f"{service}.googleapis.com answered {answer.status_code}")
        try:
            return answer.status_code, answer.json() if answer.content else {}
        except ValueError as error:
            raise NoAnswerError(f"{service}.googleapis.com answered {answer.status_code}, and no JSON") from error


def stand_in() -> str | None:
    """Return the address of the stand-in, if there is one."""
    found = os.environ.get(STAND_IN)
    return found.rstrip("/") if found else None


def message_of(answer: dict[str, Any]) -> str:
    """Return what a refusal says."""
    error = answer.get("error", {})
    return str(error.get("message", answer)) if isinstance(error, dict) else str(error)


def known_project(option: str | None) -> str | None:
    """Return the project that is meant, if any is."""
    return option or os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("CLOUDSDK_CORE_PROJECT") or None


def given_project(option: str | None) -> str:
    """Return the project that is meant.

    Raises:
        ConfigError: none is.
    """
    found = known_project(option)
    if found is None:
        raise ConfigError("--project PROJECT is needed, or GOOGLE_CLOUD_PROJECT; what there is: gcloud projects list")
    return found


def given_region(option: str | None) -> str:
    """Return the region that is meant.

    Raises:
        ConfigError: none is.
    """
    if not option:
        raise ConfigError("--region REGION is needed, such as europe-west4: that of the bucket")
    return option


def holds(found: Any, wanted: Any) -> bool:
    """Tell whether all that is wanted is found; a service tells more than it was told."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(holds, found, wanted))
    return bool(found == wanted)


def unreachable(error: NoAnswerError) -> ArtifactError:
    """Return the error for a command that cannot go on."""
    return ArtifactError(f"{error}: is there a network? Nothing was changed, try again later")


def credentials() -> Any:
    """Return this machine's credentials.

    Raises:
        ConfigError: there are none, or google-auth is missing.
    """
    try:
        import google.auth
        from google.auth.credentials import AnonymousCredentials
        from google.auth.exceptions import DefaultCredentialsError
    except ImportError as error:
        raise ConfigError(f"Google's APIs need google-auth: {EXTRA}") from error
    if stand_in():
        return AnonymousCredentials()
    try:
        return google.auth.default([SCOPE])[0]
    except DefaultCredentialsError as error:
        raise ConfigError(f"no Google credentials on this machine: {LOG_IN}") from error


def _session(*, anonymous: bool) -> Any:
    found = credentials()
    if anonymous:
        import requests

        return requests.Session()
    from google.auth.transport.requests import AuthorizedSession

    return AuthorizedSession(found)
