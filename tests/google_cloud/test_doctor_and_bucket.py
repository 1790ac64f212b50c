"""What a Google Cloud project lacks, and the bucket that is made for it."""

from pathlib import Path
from typing import Any

import pytest

import mlops_cls as mc
from google_services import Answer, google_services
from google_storage import google_storage
from mlops_cls import cloud
from mlops_cls.google_cloud.bucket import bucket_rules
from mlops_cls.google_cloud.needs import OF_VERBS, needs_of

WHERE = ["--project", "lab", "--region", "europe-west4"]
IMAGE = "europe-west4-docker.pkg.dev/lab/images/train:v1"
REPOSITORY = "GET /artifactregistry/v1/projects/lab/locations/europe-west4/repositories/images"
PARTS = [
    "--for",
    "vertex,run,build,alerts",
    "--repository",
    IMAGE.partition("/train")[0],
    "--gpu",
    "t4",
    "--spot",
    "--bucket",
    "gs://models/x",
    "--secret",
    "wandb",
    "--image",
    IMAGE,
]
NEEDED = needs_of(OF_VERBS)
PROJECT = "GET /cloudresourcemanager/v1/projects/lab"
ENABLED = "GET /serviceusage/v1/projects/lab/services:batchGet"
MAY = "POST /cloudresourcemanager/v1/projects/lab:testIamPermissions"
QUOTA = (
    "GET /serviceusage/v1beta1/projects/lab/services/aiplatform.googleapis.com/consumerQuotaMetrics/"
    "aiplatform.googleapis.com%2Fcustom_model_training_preemptible_nvidia_t4_gpus"
)
SECRET = "GET /secretmanager/v1/projects/lab/secrets/wandb/versions/latest"
TAG = "GET /artifactregistry/v1/projects/lab/locations/europe-west4/repositories/images/packages/train/tags/v1"
BUCKET = "GET /storage/storage/v1/b/models"


def quota(*limits: tuple[str | None, int]) -> Answer:
    buckets = [
        {"effectiveLimit": str(number), "dimensions": {"region": region} if region else {}} for region, number in limits
    ]
    return {"consumerQuotaLimits": [{"quotaBuckets": buckets}]}


def healthy() -> dict[str, Answer | list[Answer]]:
    services = [{"name": f"projects/7/services/{name}.googleapis.com", "state": "ENABLED"} for name in NEEDED.apis]
    return {
        PROJECT: {"projectId": "lab", "lifecycleState": "ACTIVE"},
        ENABLED: {"services": services},
        MAY: {"permissions": list(NEEDED.permissions)},
        "GET /europe-west4-aiplatform/v1/projects/lab/locations/europe-west4": {"locationId": "europe-west4"},
        QUOTA: quota((None, 0), ("europe-west4", 2)),
        SECRET: {"name": "projects/7/secrets/wandb/versions/3", "state": "ENABLED"},
        TAG: {"name": "tags/v1"},
        REPOSITORY: {"format": "DOCKER"},
        BUCKET: {"name": "models", "location": "EUROPE-WEST4"},
    }


def examine(monkeypatch: pytest.MonkeyPatch, changed: dict[str, Answer | list[Answer]]) -> None:
    with google_services(healthy() | changed) as services:
        monkeypatch.setenv("MLOPS_CLS_GOOGLE", services.address)
        cloud.main(["doctor", *WHERE, *PARTS])


def test_a_project_that_lacks_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examine(monkeypatch, {})
    said = capsys.readouterr().out
    assert "LACK" not in said
    assert "2 t4 at a time in europe-west4, spot" in said
    assert said.splitlines()[-1] == "nothing is missing"


LACKING: dict[str, tuple[dict[str, Answer | list[Answer]], str]] = {
    "project": ({PROJECT: 404}, "gcloud projects list"),
    "APIs": ({ENABLED: {"services": []}}, "gcloud services enable aiplatform.googleapis.com artifactregistry"),
    "permissions": (
        {MAY: {}},
        "gcloud projects add-iam-policy-binding lab --member=user:YOU --role=roles/aiplatform.user",
    ),
    "region": ({"GET /europe-west4-aiplatform/v1/projects/lab/locations/europe-west4": 404}, "docs/general/locations"),
    "quota": ({QUOTA: quota((None, 0))}, "look for custom_model_training_preemptible_nvidia_t4_gpus"),
    "secret": ({SECRET: 404}, "gcloud secrets create wandb --data-file=-"),
    "image": ({TAG: 404}, f"docker push {IMAGE}"),
    "repository": ({REPOSITORY: 404}, "gcloud artifacts repositories create images --repository-format=docker"),
    "a repository of packages": ({REPOSITORY: {"format": "PYTHON"}}, "with another name"),
    "bucket": ({BUCKET: 404}, "python -m mlops_cls.cloud bucket gs://models --project lab --region europe-west4"),
    "a bucket elsewhere": ({BUCKET: {"location": "US-EAST1"}}, "--region us-east1"),
}


@pytest.mark.parametrize("what", LACKING)
def test_what_a_project_lacks_is_not_said_with_the_command(
    what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed, mend = LACKING[what]
    with pytest.raises(mc.ArtifactError, match="missing"):
        examine(monkeypatch, changed)
    said = capsys.readouterr().out.splitlines()
    lines = [said[number + 1] for number, line in enumerate(said) if line.startswith("LACK")]
    assert mend in lines[0]
    assert what == "permissions" or len(lines) == 1


def test_a_network_that_is_gone_looks_like_a_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(mc.ArtifactError, match="answered 503: is there a network"):
        examine(monkeypatch, {MAY: 503})


def test_a_bucket_is_not_made_as_its_rules_say_or_not_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: dict[str, Any] = {"name": "models", "location": "EUROPE-WEST4", **bucket_rules(30, {"jobs": 7})}
    answers: dict[str, Answer | list[Answer]] = {
        BUCKET: [404, made, made],
        "POST /storage/storage/v1/b": made,
        "PATCH /storage/storage/v1/b/models": made,
    }
    with google_services(answers) as services:
        monkeypatch.setenv("MLOPS_CLS_GOOGLE", services.address)
        for days in ("30", "30", "90"):
            cloud.main(["bucket", "gs://models", *WHERE, "--keep-days", days, "--expire", "jobs=7"])
    sent = [body for question, body in services.asked if question.startswith("POST")]
    assert sent == [{"name": "models", "location": "europe-west4", **bucket_rules(30, {"jobs": 7})}]
    changes = [body for question, body in services.asked if question.startswith("PATCH")]
    assert changes == [{"lifecycle": bucket_rules(90, {"jobs": 7})["lifecycle"]}]
    made_it, left_it, changed_it = capsys.readouterr().out.splitlines()
    assert made_it.startswith("made gs://models in europe-west4")
    assert (left_it, changed_it) == ("gs://models is as it should be", "changed gs://models: lifecycle")


def test_a_bucket_is_not_made_where_buckets_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with google_storage(tmp_path) as address:
        monkeypatch.setattr("mlops_cls.google_cloud.api.stand_in", lambda: address)
        monkeypatch.setattr("mlops_cls.google_cloud.bucket.Api", emulated(address))
        cloud.main(["bucket", "gs://lab-models", *WHERE])
    assert capsys.readouterr().out.startswith("made gs://lab-models in europe-west4")


def emulated(address: str) -> type:
    """Return an `Api` whose storage is the emulator's, which serves one service and no /SERVICE before its paths."""
    from mlops_cls.google_cloud.api import Api

    class Emulated(Api):
        def ask(self, service: str, path: str, *arguments: Any, **options: Any) -> tuple[int, dict[str, Any]]:
            self._stand_in = address
            return super().ask("", path.removeprefix("/"), *arguments, **options)

    return Emulated


@pytest.mark.parametrize(
    ("arguments", "answer", "said"),
    [
        (["gs://Models!", *WHERE], 404, "is no bucket"),
        (["gs://models", *WHERE, "--expire", "jobs"], 404, "FOLDER=DAYS"),
        (["gs://models", *WHERE], 403, "belongs to somebody else"),
        (["gs://models", *WHERE], {"location": "US"}, "exists in us, and stays there"),
    ],
)
def test_a_bucket_is_made_that_cannot_be(
    arguments: list[str], answer: Answer, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with google_services({BUCKET: answer}) as services:
        monkeypatch.setenv("MLOPS_CLS_GOOGLE", services.address)
        with pytest.raises(mc.ConfigError, match=said):
            cloud.main(["bucket", *arguments])


def test_what_another_verb_needs_is_asked_for_or_a_mistyped_one_looks_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with google_services(healthy()) as services:
        monkeypatch.setenv("MLOPS_CLS_GOOGLE", services.address)
        cloud.main(["doctor", "--for", "build", *WHERE])
        with pytest.raises(mc.ConfigError, match="did you mean 'build'"):
            cloud.main(["doctor", "--for", "run,biuld", *WHERE])
    (asked,) = [body["permissions"] for question, body in services.asked if question == MAY]
    assert asked == ["cloudbuild.builds.create", "storage.objects.create", "logging.logEntries.list"]
    assert not [question for question, _ in services.asked if "aiplatform" in question]
