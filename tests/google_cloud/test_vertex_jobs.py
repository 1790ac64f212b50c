"""Jobs of Vertex AI: what is refused before they cost anything, what is sent, and how they are watched."""

import json
import sys
from pathlib import Path
from typing import Any

import google.auth
import pytest
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.aiplatform_v1.types import CustomJobSpec
from google.protobuf import json_format

import mlops_cls as mc
from google_services import JOB, Answer, Services, google_services
from mlops_cls import cloud
from mlops_cls.google_cloud import watching
from mlops_cls.google_cloud.machines import make_machine

IMAGE = "europe-west4-docker.pkg.dev/lab/images/train:latest"
PLACE = ["--image", IMAGE, "--bucket", "gs://lab-models/vertex"]
HERE = ["--project", "lab", "--region", "europe-west4"]
CREATE = "POST /v1/projects/lab/locations/europe-west4/customJobs"
LOGS = "POST /logging/v2/entries:list"

# What the five systems trained there, on the machines of their job files.
SYSTEMS: dict[str, list[str]] = {
    "seabed": ["experiment=seabed", "data.root=/gcs/lab/seabed.zip", "--machine", "n1-highmem-2"],
    "skin_lesion": [
        "experiment=skin_lesion_efficientnet", "data.root=/gcs/lab/HAM10000.zip", "--machine", "n1-standard-8",
        "--gpu", "v100", "--secret", "wandb", "--service-account", "trainer@lab.iam.gserviceaccount.com",
    ],
    "fmnist": ["experiment=fmnist", "data.root=/gcs/lab/fmnist", "--machine", "n1-highcpu-16", "--disk", "50"],
    "emotion": ["experiment=emotion", "data.source=gs", "data.url=gs://lab/emotion.zip", "--machine", "n1-standard-4"],
    "dog_breed": [
        "experiment=dog_breed", "data.source=dvc", "--machine", "g2-standard-24", "--replicas", "3", "--spot",
        "trainer=ddp", "--label", "team=dogs",
    ],
}  # fmt: skip


def dry(*arguments: str) -> dict[str, Any]:
    cloud.main(["vertex", *arguments, *PLACE, "--dry-run"])
    (path,) = Path("jobs").glob("*.vertex.json")
    spec: dict[str, Any] = json.loads(path.read_text())
    json_format.ParseDict(spec, CustomJobSpec.pb(CustomJobSpec()))
    return spec


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_cannot_be_trained_there_or_not_looked_at_without_an_account(system: str) -> None:
    with pytest.raises(DefaultCredentialsError):
        google.auth.default()
    arguments = [*SYSTEMS[system], "--project", "lab"]
    spec = dry(*arguments)
    pools = spec["workerPoolSpecs"]
    settings = [word for word in arguments if "=" in word and not word.startswith("team=")]
    secret = ["logger.secret=projects/lab/secrets/wandb"] if "--secret" in arguments else []
    assert pools[0]["containerSpec"]["args"] == [*settings, *secret]
    assert pools[0]["machineSpec"]["machineType"] == arguments[arguments.index("--machine") + 1]
    assert spec["baseOutputDirectory"]["outputUriPrefix"].startswith("gs://lab-models/vertex/")
    if system == "dog_breed":
        assert [pool["replicaCount"] for pool in pools] == [1, 2]
        assert pools[1]["machineSpec"] == {
            "machineType": "g2-standard-24", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 2
        }  # fmt: skip
        assert spec["scheduling"]["strategy"] == "SPOT"


def test_a_dry_run_needs_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.aiplatform_v1.types", None)
    dry("experiment=resnet18", "--gpu", "t4")
    said = capsys.readouterr().out
    assert "note: not checked against the API's types" in said
    assert "costs   about 0.84 USD an hour, 20.15 at most" in said
    assert "gcloud ai custom-jobs create --display-name=resnet18" in said


def test_the_price_of_a_machine_is_not_the_listed_one() -> None:
    # https://cloud.google.com/vertex-ai/pricing, on 2026-10-07
    assert make_machine("n1-standard-4", None, None).price == pytest.approx(0.21849885, abs=1e-6)
    assert make_machine("a2-highgpu-1g", None, None).price is None


REFUSED: dict[str, tuple[list[str], str]] = {
    "a mistyped setting": (["optim.lrr=1"], "optim.lrr is not a setting"),
    "a GPU of another machine": (["--gpu", "a100"], "a part of a2-highgpu machines"),
    "another GPU than built in": (["--machine", "g2-standard-8", "--gpu", "t4"], "which has 1 l4"),
    "another number": (["--machine", "a2-highgpu-2g", "--gpus", "1"], "has 2, always"),
    "three T4": (["--gpu", "t4", "--gpus", "3"], "1, 2, 4 are allowed"),
    "a GPU without n1": (["--machine", "e2-standard-8", "--gpu", "t4"], "take n1"),
    "a mistyped GPU": (["--gpu", "a10"], "did you mean"),
    "no machine": (["--machine", "big"], "is no machine type"),
    "a g2 that is not": (["--machine", "g2-standard-9"], "does not exist"),
    "an idle GPU": (["--gpu", "t4", "--gpus", "2"], "add trainer=ddp"),
    "an idle machine": (["--replicas", "2"], "add trainer=ddp"),
    "data of this machine": (["data=seabed", "data.root=seabed.zip"], "gcloud storage cp"),
    "weights of this machine": (["model.weights=best.ckpt"], "copy it to a bucket"),
    "no bucket": (["--bucket", "models"], "is no bucket"),
    "no image": (["--image", "Train Image"], "is no image"),
    "a label with letters": (["--label", "Team=A"], "--label Team=A is impossible"),
    "a label without value": (["--label", "team"], "KEY=VALUE"),
    "a secret of no project": (["--secret", "wandb"], "--project PROJECT is needed"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_fail_or_cost_for_nothing_is_submitted(what: str) -> None:
    arguments, said = REFUSED[what]
    with pytest.raises(mc.ConfigError, match=said):
        cloud.main(["vertex", "experiment=quickstart", *PLACE, *arguments, "--dry-run"])
    assert not Path("jobs").exists()


def test_a_key_in_the_command_becomes_a_part_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    with pytest.raises(mc.ConfigError, match="use --secret") as refused:
        cloud.main(["vertex", "experiment=quickstart", *PLACE, "--label", "key=0123456789abcdef"])
    assert "0123456789abcdef" not in str(refused.value)


def test_without_credentials_a_job_is_submitted_or_the_error_does_not_say_what_to_type() -> None:
    with pytest.raises(mc.ConfigError, match="gcloud auth application-default login"):
        cloud.main(["vertex", "experiment=quickstart", *PLACE, *HERE])


def entry(number: int, text: str) -> dict[str, str]:
    return {"insertId": str(number), "timestamp": f"2026-11-21T10:00:0{number}Z", "textPayload": text}


def states(*names: str) -> list[Answer]:
    return [{"name": JOB, "state": f"JOB_STATE_{name}", "error": {"message": "exit code 1"}} for name in names]


def train_there(
    answers: dict[str, Answer | list[Answer]], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> Services:
    monkeypatch.setattr(watching, "INTERVAL", 0.0)
    with google_services({CREATE: {"name": JOB}, **answers}) as services:
        monkeypatch.setenv("MLOPS_CLS_GOOGLE", services.address)
        cloud.main(["vertex", "experiment=quickstart", *PLACE, *HERE, *arguments])
    return services


def test_a_job_is_sent_in_other_words_or_its_end_is_missed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = [
        {"entries": [entry(1, "one")]},
        {"entries": [entry(1, "one"), entry(2, "two")]},
        {"entries": [entry(2, "two")]},
    ]
    went: list[Answer] = [*states("PENDING", "RUNNING"), 503, *states("SUCCEEDED")]
    answers: dict[str, Answer | list[Answer]] = {f"GET /v1/{JOB}": went, LOGS: [*logs]}
    (job,) = train_there(answers, monkeypatch, "--spot", "--wait").jobs
    assert job.display_name == "quickstart"
    assert job.labels["run"] == "quickstart"
    assert job.job_spec.scheduling.strategy.name == "SPOT"
    assert list(job.job_spec.worker_pool_specs[0].container_spec.args) == ["experiment=quickstart"]
    said = capsys.readouterr().out.splitlines()
    assert f"job     {JOB}" in said
    assert [line for line in said if line.startswith("state ") or line in ("one", "two")] == [
        "one", "state pending", "two", "state running", "state succeeded"
    ]  # fmt: skip


def test_a_job_that_failed_looks_like_one_that_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(mc.ArtifactError, match="the job ended as failed: exit code 1"):
        train_there({f"GET /v1/{JOB}": states("RUNNING", "FAILED"), LOGS: {}}, monkeypatch, "--wait")


def test_a_service_that_does_not_answer_is_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(mc.ArtifactError, match=r"the work goes on without being watched: gcloud ai custom-jobs"):
        train_there({f"GET /v1/{JOB}": 503, LOGS: {}}, monkeypatch, "--wait")


def test_logs_that_may_not_be_read_end_the_watching(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train_there({f"GET /v1/{JOB}": states("RUNNING", "SUCCEEDED"), LOGS: 403}, monkeypatch, "--wait")
    assert capsys.readouterr().err.count("cannot be read") == 1


@pytest.mark.parametrize(
    ("status", "said"), [(403, "refuses this account"), (429, "the quota does not suffice"), (400, "refuses the job")]
)
def test_a_refused_job_is_told_with_a_traceback(status: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(mc.ConfigError, match=said):
        train_there({CREATE: status}, monkeypatch)
