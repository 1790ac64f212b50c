"""Services of Cloud Run, by its REST API: found, made and changed, each change waited for."""

import time
from typing import Any

from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.google_cloud.api import Api, NoAnswerError, message_of
from mlops_cls.google_cloud.watching import text_of

INTERVAL = 2.0
"""Seconds between two looks at what is being done."""
PATIENCE = 8
"""How often in a row Cloud Run may fail to answer while it is waited for."""
LONGEST = 900.0  # seconds
DOCTOR = "python -m mlops_cls.cloud doctor --for run says what is missing"

Service = dict[str, Any]
"""A Service as JSON."""


class CloudRun:
    """The services of a project in a region."""

    def __init__(self, api: Api, project: str, region: str) -> None:
        self._api, self._project = api, project
        self._parent = f"/v2/projects/{project}/locations/{region}"

    def find(self, name: str) -> Service | None:
        """Return a service, or None where there is none.

        Raises:
            ConfigError: it may not be seen.
            NoAnswerError: Cloud Run does not answer.
        """
        status, answer = self._api.ask("run", f"{self._parent}/services/{name}")
        if status == 404:
            return None
        _check(status, answer)
        return answer

    def create(self, name: str, body: Service) -> Service:
        """Make a service and wait until it is ready; return it.

        Raises:
            ConfigError: Cloud Run refuses it.
            ArtifactError: it did not become ready; the message is Cloud Run's.
            NoAnswerError: Cloud Run did not answer, so that it may have been made or not.
        """
        return self._finish(*self._api.ask("run", f"{self._parent}/services?serviceId={name}", body))

    def change(self, name: str, body: Service, *, found: Service) -> Service:
        """Change the fields of `body` and wait until that is done; return the service.

        Args:
            name: of the service.
            body: new values, whole.
            found: the service that is to be changed; if it is no longer as it was, nothing is.

        Raises:
            ConfigError, ArtifactError, NoAnswerError: as `create`.
        """
        path = f"{self._parent}/services/{name}?updateMask={','.join(body)}"
        etag = {"etag": found["etag"]} if "etag" in found else {}
        return self._finish(*self._api.ask("run", path, {**body, **etag}, method="PATCH"))

    def log(self, service: str, revision: str) -> list[str]:
        """Return the last lines of a revision and its start, oldest first; none where they may not be read."""
        question = {
            "resourceNames": [f"projects/{self._project}"],
            "filter": f'resource.type="cloud_run_revision" AND resource.labels.service_name="{service}" '
            f'AND resource.labels.revision_name="{revision}"',
            "orderBy": "timestamp desc",
            "pageSize": 20,
        }
        try:
            _, answer = self._api.ask("logging", "/v2/entries:list", question)
        except NoAnswerError:
            return []
        return [line for entry in reversed(answer.get("entries", [])) if (line := text_of(entry))]

    def _finish(self, status: int, operation: dict[str, Any]) -> Service:
        _check(status, operation)
        missed, deadline = 0, time.monotonic() + LONGEST
        while not operation.get("done"):
            if time.monotonic() > deadline:
                raise ArtifactError(f"Cloud Run was not done after {LONGEST / 60:.0f} minutes")
            time.sleep(INTERVAL)
            try:
                status, operation = self._api.ask("run", f"/v2/{operation['name']}")
                missed = 0
            except NoAnswerError:
                missed += 1
                if missed == PATIENCE:
                    raise
                continue
            _check(status, operation)
        if "error" in operation:
            raise ArtifactError(message_of(operation))
        service: Service = operation["response"]
        return service


def _check(status: int, answer: dict[str, Any]) -> None:
    if status in (401, 403):
        raise ConfigError(f"Cloud Run refuses this account: {message_of(answer)}; {DOCTOR}")
    if status == 409:
        raise ConfigError(f"somebody else is changing the service: {message_of(answer)}; try again")
    if status != 200:
        raise ConfigError(f"Cloud Run refuses: {message_of(answer)}")
