"""Identity tokens, by which a service that is not public knows who asks:
https://cloud.google.com/run/docs/authenticating/service-to-service.
"""

import shutil
import subprocess
from typing import Any

from mlops_cls.errors import ConfigError
from mlops_cls.google_cloud.api import LOG_IN, Api, NoAnswerError, credentials, message_of, stand_in

PATIENCE = 30  # seconds


def identity_token(audience: str) -> str | None:
    """Return a token for a service; None where a stand-in of Google is asked, which wants none.

    Args:
        audience: the service's own address; for a revision under a tag too.

    Raises:
        ConfigError: these credentials can have none; the message says what to type.
        NoAnswerError: Google does not answer.
    """
    if stand_in():
        return None
    from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
    from google.auth.transport.requests import Request
    from google.oauth2 import id_token

    found = credentials()
    try:
        return str(id_token.fetch_id_token(Request(), audience))
    except DefaultCredentialsError:
        return _of_account(found, audience) or _of_person()
    except RefreshError as error:
        raise ConfigError(f"Google does not accept the credentials of this machine: {LOG_IN}") from error
    except TransportError as error:
        raise NoAnswerError("Google, asked for an identity token, does not answer") from error


def _of_account(found: Any, audience: str) -> str | None:
    """Return the token of a service account that is acted as, as in a workflow with workload identity."""
    account = getattr(found, "service_account_email", None)
    if not account:
        return None
    path = f"/v1/projects/-/serviceAccounts/{account}:generateIdToken"
    status, answer = Api().ask("iamcredentials", path, {"audience": audience, "includeEmail": True})
    if status != 200:
        grant = f"gcloud iam service-accounts add-iam-policy-binding {account} --member=serviceAccount:{account}"
        raise ConfigError(
            f"{account} may not make an identity token for itself ({message_of(answer)}): "
            f"{grant} --role=roles/iam.serviceAccountOpenIdTokenCreator"
        )
    return str(answer["token"])


def _of_person() -> str:
    """Return the token of whoever is logged in; only gcloud makes those that Cloud Run takes."""
    if shutil.which("gcloud") is None:
        raise ConfigError("an identity token of a person comes from gcloud: install it, and gcloud auth login")
    done = subprocess.run(
        ["gcloud", "auth", "print-identity-token"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        raise ConfigError(f"gcloud gives no identity token: gcloud auth login ({' '.join(done.stderr.split())[:200]})")
    return done.stdout.strip()
