"""What each verb of ``cloud`` needs of a project: which APIs, and which permissions with the role that has them.

https://cloud.google.com/iam/docs/roles-permissions.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mlops_cls.errors import unknown_name

IMAGES = {"artifactregistry": "images"}
BUCKETS = {"storage": "buckets"}
LOGS = {"logging": "what is said"}
SECRETS = {"secretmanager": "keys"}
PUT = {"storage.objects.create": "roles/storage.objectUser"}
TAKE = {"storage.objects.get": "roles/storage.objectUser"}
READ = {"logging.logEntries.list": "roles/logging.viewer"}


@dataclass(frozen=True, slots=True)
class Needs:
    """APIs to what they are for, permissions to a role that has them."""

    apis: dict[str, str]
    permissions: dict[str, str]


OF_VERBS = {
    "vertex": Needs(
        {"aiplatform": "Vertex AI", **IMAGES, **BUCKETS, **LOGS, **SECRETS},
        {
            "aiplatform.customJobs.create": "roles/aiplatform.user",
            "aiplatform.customJobs.get": "roles/aiplatform.user",
            **PUT,
            **TAKE,
            **READ,
        },
    ),
    "run": Needs(
        {"run": "Cloud Run", **IMAGES, **BUCKETS, **LOGS, **SECRETS},
        {
            "run.services.create": "roles/run.developer",
            "run.services.update": "roles/run.developer",
            "run.routes.invoke": "roles/run.invoker",
            "iam.serviceAccounts.actAs": "roles/iam.serviceAccountUser",
            **TAKE,
            **READ,
        },
    ),
    "build": Needs(
        {"cloudbuild": "Cloud Build", **IMAGES, **BUCKETS, **LOGS},
        {"cloudbuild.builds.create": "roles/cloudbuild.builds.editor", **PUT, **READ},
    ),
    "alerts": Needs(
        {"monitoring": "alerts", "run": "Cloud Run", **LOGS},
        {
            "monitoring.alertPolicies.create": "roles/monitoring.alertPolicyEditor",
            "monitoring.alertPolicies.update": "roles/monitoring.alertPolicyEditor",
            "monitoring.notificationChannels.create": "roles/monitoring.notificationChannelEditor",
            "run.services.get": "roles/run.viewer",
        },
    ),
}


def needs_of(verbs: Iterable[str]) -> Needs:
    """Return what several verbs need together.

    Raises:
        ConfigError: one of them is none.
    """
    together = Needs({}, {})
    for verb in verbs:
        if verb not in OF_VERBS:
            raise unknown_name("--for", verb, OF_VERBS)
        together.apis.update(OF_VERBS[verb].apis)
        together.permissions.update(OF_VERBS[verb].permissions)
    return together
