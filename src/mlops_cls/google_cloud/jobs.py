"""Custom jobs of Vertex AI, by its own client: checked, submitted, and watched to their end."""

from collections.abc import Callable
from typing import Any

from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.google_cloud.api import EXTRA, LOG_IN, NoAnswerError, credentials, stand_in
from mlops_cls.google_cloud.watching import Logs, watch

ENDED = {"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"}


def check_types(job: dict[str, Any]) -> Any:
    """Return the job in the API's own types.

    Raises:
        ConfigError: a field is unknown there, or its value is; or the package is missing.
    """
    try:
        from google.cloud.aiplatform_v1.types import CustomJob
        from google.protobuf import json_format
    except ImportError as error:
        raise ConfigError(f"the types of Vertex AI's API are in google-cloud-aiplatform: {EXTRA}") from error
    typed = CustomJob()
    try:
        json_format.ParseDict(job, CustomJob.pb(typed))
    except json_format.ParseError as error:
        raise ConfigError(f"Vertex AI's API knows no such job: {str(error).splitlines()[0]}") from error
    return typed


class Jobs:
    """The jobs of a project in a region."""

    def __init__(self, project: str, region: str) -> None:
        from google.cloud.aiplatform_v1.services.job_service import JobServiceClient
        from google.cloud.aiplatform_v1.services.job_service.transports.rest import JobServiceRestTransport

        self._parent = f"projects/{project}/locations/{region}"
        scheme, _, host = (stand_in() or f"https://{region}-aiplatform.googleapis.com").partition("://")
        transport = JobServiceRestTransport(host=host, credentials=credentials(), url_scheme=scheme)
        self._client = JobServiceClient(transport=transport)

    def submit(self, job: Any) -> str:
        """Return the name of a new job, ``projects/…/customJobs/ID``.

        Raises:
            ConfigError: Vertex AI refuses it; the message says why.
            NoAnswerError: it does not answer, so the job may exist or not.
        """
        created = self._ask(self._client.create_custom_job, parent=self._parent, custom_job=job)
        return str(created.name)

    def state(self, name: str) -> tuple[str, str]:
        """Return a job's state, such as RUNNING, and what went wrong if it failed.

        Raises:
            ConfigError: there is no such job, or it may not be seen.
            NoAnswerError: Vertex AI does not answer.
        """
        job = self._ask(self._client.get_custom_job, name=name)
        return job.state.name.removeprefix("JOB_STATE_"), job.error.message

    def _ask(self, method: Callable[..., Any], **arguments: Any) -> Any:
        import requests
        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError, TransportError

        try:
            return method(**arguments, timeout=60)
        except (exceptions.PermissionDenied, exceptions.Unauthenticated, exceptions.Forbidden) as error:
            raise ConfigError(f"Vertex AI refuses this account: {error.message}; {_DOCTOR}") from error
        except (exceptions.ResourceExhausted, exceptions.TooManyRequests) as error:
            raise ConfigError(f"the quota does not suffice: {error.message}; {_DOCTOR}") from error
        except exceptions.ClientError as error:
            raise ConfigError(f"Vertex AI refuses the job: {error.message}") from error
        except (exceptions.GoogleAPIError, requests.ConnectionError, requests.Timeout, TransportError) as error:
            raise NoAnswerError(f"Vertex AI does not answer ({type(error).__name__})") from error
        except GoogleAuthError as error:
            raise ConfigError(f"Google does not accept the credentials of this machine: {LOG_IN}") from error


_DOCTOR = "python -m mlops_cls.cloud doctor says what is missing"


def watch_job(jobs: Jobs, name: str) -> None:
    """Print a job's states and what it says, until it ends.

    Raises:
        ArtifactError: it failed, was cancelled or expired; or Vertex AI did not answer for long.
    """
    _, project, _, _, _, number = name.split("/")
    logs = Logs(project, f'resource.type="ml_job" AND resource.labels.job_id="{number}"')
    state, reason = watch(lambda: jobs.state(name), logs, ended=ENDED, look=look_line(name))
    if state != "SUCCEEDED":
        raise ArtifactError(f"the job ended as {state.lower()}{': ' + reason if reason else ''}")


def look_line(name: str) -> str:
    """Return the command that shows what a job says."""
    return f"gcloud ai custom-jobs stream-logs {name}"


def cancel_line(name: str) -> str:
    """Return the command that ends a job."""
    return f"gcloud ai custom-jobs cancel {name}"
