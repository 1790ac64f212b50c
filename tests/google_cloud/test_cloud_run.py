"""A bundle as a service on Cloud Run: what is refused, what is sent, and that what answers wrongly gets no traffic."""

import json
import shlex
import shutil
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.cloud.run_v2.types import Service
from google.protobuf import json_format

import mlops_cls as mc
from cloud_run import LOGS, PATCH, SERVICE, CloudRun
from google_services import Answer, Services, google_services
from mlops_cls import cloud
from mlops_cls.bundle import SAMPLES, Bundle, seal
from mlops_cls.google_cloud import question, services
from mlops_cls.google_cloud.question import Question
from mlops_cls.predictor import Predictor
from mlops_cls.service.app import create_app
from mlops_cls.service.settings import Settings
from online import online

IMAGE = "europe-west4-docker.pkg.dev/lab/images/api:v1"
HERE = ["--service", "skin", "--project", "lab", "--region", "europe-west4"]
DRY = ["run", "gs://lab-models/skin", "--image", IMAGE, "--service", "skin", "--dry-run"]
OLD = "skin-00001-abc"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing."""
    monkeypatch.setattr(services, "INTERVAL", 0.0)
    monkeypatch.setattr(question, "PAUSE", 0.01)


@pytest.fixture(scope="module")
def served(tiny_bundle: Bundle) -> Iterator[str]:
    """Return the address of a real service of the bundle, as a revision on Cloud Run is one."""
    with online(create_app(Predictor.load(tiny_bundle.folder))) as address:
        yield address.rstrip("/")


@contextmanager
def google(run: CloudRun, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> Iterator[Services]:
    with google_services(run.answers() | changed) as stand_in:
        run.later = stand_in.answers
        monkeypatch.setenv("MLOPS_CLS_GOOGLE", stand_in.address)
        yield stand_in


def deploy(bundle: Bundle, *arguments: str) -> None:
    cloud.main(["run", str(bundle.folder), "--to", "gs://pictures/served", "--image", IMAGE, *HERE, *arguments])


def test_a_dry_run_needs_an_account_or_writes_what_the_api_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    cloud.main([
        *DRY, "--project", "lab", "--cpu", "2", "--memory", "4", "--min", "1", "--setting", "collect=metadata",
        "--setting", "collect-to=gs://lab/seen", "--setting", "cors=https://a.b,https://c.d", "--cpu-always",
        "--secret", "SERVE_API_KEYS=skin-keys:3", "--label", "team=skin", "--service-account", "api@lab.iam",
    ])  # fmt: skip
    written = json.loads(Path("jobs/skin.run.json").read_text())
    service = json_format.ParseDict(written, Service.pb(Service()))
    (container,) = service.template.containers
    plain = {one.name: one.value for one in container.env if one.value}
    assert plain["MODEL"] == "gs://lab-models/skin"
    assert plain["SERVE_QUEUE"] == "32" == str(service.template.max_instance_request_concurrency)
    assert Settings.read(plain, {}).collect_to == "gs://lab/seen"
    secret = container.env[-1].value_source.secret_key_ref
    assert (container.env[-1].name, secret.secret, secret.version) == ("SERVE_API_KEYS", "skin-keys", "3")
    assert dict(container.resources.limits) == {"cpu": "2", "memory": "4096Mi"}
    assert not container.resources.cpu_idle
    assert (container.startup_probe.http_get.path, container.liveness_probe.http_get.path) == ("/ready", "/health")
    assert container.startup_probe.period_seconds * container.startup_probe.failure_threshold <= 240
    assert service.template.timeout.seconds == 60
    assert service.scaling.min_instance_count == 1
    said = capsys.readouterr().out
    line = next(line for line in said.splitlines() if line.startswith("gcloud"))
    words = shlex.split(line)
    assert words[1:5] == ["gcloud", "run", "deploy", "skin"]
    assert "--set-secrets=SERVE_API_KEYS=skin-keys:3" in words
    assert any(word.startswith("--set-env-vars=^;^MODEL=gs://lab-models/skin;") for word in words)
    assert "the bundle was not read" in said
    assert "USD a month at --min 1" in said


REFUSED: dict[str, tuple[list[str], str]] = {
    "a mistyped setting": (["--setting", "colect=off"], "did you mean 'SERVE_COLLECT'"),
    "an impossible setting": (["--setting", "batch=0"], "greater than or equal to 1"),
    "a setting that is an option": (["--setting", "port=1"], "an option of its own here: --port"),
    "a setting as a variable": (["--env", "SERVE_BATCH=4"], "--setting NAME=VALUE"),
    "a variable of Cloud Run": (["--env", "K_SERVICE=x"], "set by Cloud Run"),
    "no variable": (["--env", "MY-NAME=x"], "is no name of a variable"),
    "a key by its value": (["--env", "WANDB_API_KEY=abc"], "gcloud secrets create"),
    "the service's keys by value": (["--setting", "api-keys=abc"], "--secret SERVE_API_KEYS=NAME"),
    "a mistyped variable for a key": (["--secret", "SERVE_API_KEY=skin-keys"], "did you mean 'SERVE_API_KEYS'"),
    "half a secret": (["--secret", "SERVE_API_KEYS"], "NAME=VALUE"),
    "a secret's value": (["--secret", "SERVE_API_KEYS=a b"], "names no secret"),
    "a small queue": (["--setting", "queue=4"], "less than --concurrency 16"),
    "a folder that is lost": (["--setting", "collect=metadata", "--setting", "collect_to=x"], "lost with its instance"),
    "three processors": (["--cpu", "3"], "1, 2, 4, 6, 8 are allowed"),
    "much memory": (["--memory", "8"], "0.5 to 4 GiB"),
    "too many requests": (["--concurrency", "2000"], "1 to 1000"),
    "more at least than at most": (["--min", "4"], "more than --max 3"),
    "a label with letters": (["--label", "Team=A"], "impossible"),
    "no account": (["--service-account", "api"], "is no address"),
    "no image": (["--image", "Api Image"], "is no image"),
    "no name": (["--service", "Skin"], "is no name"),
    "two places": (["--to", "gs://lab/served"], "in a bucket already"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_fail_or_give_away_a_key_is_deployed(what: str) -> None:
    arguments, said = REFUSED[what]
    with pytest.raises(mc.ConfigError, match=said) as refused:
        cloud.main([*DRY, *arguments])
    assert "abc" not in str(refused.value)
    assert not Path("jobs").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bundle", "--image", IMAGE, *HERE], "add --to gs://BUCKET/FOLDER"),
        (["bundle", "--image", IMAGE, *HERE, "--to", "models"], "is no folder of a bucket"),
        (["bundle", "--image", IMAGE, *HERE, "--to", "gs://lab/served"], "bundle is no bundle"),
        (["gs://lab", "--image", IMAGE, *HERE], "is no gs://BUCKET/FOLDER"),
        (HERE, "which bundle"),
        (["gs://lab/skin", *HERE], "cloud build makes it"),
        (["gs://lab/skin", "--image", IMAGE, *HERE[:2]], "--project PROJECT is needed"),
        (["gs://lab/skin", "--image", IMAGE, *HERE[:4]], "--region REGION is needed"),
    ],
)
def test_a_half_command_is_carried_out_or_not_said_how_to_finish(arguments: list[str], said: str) -> None:
    with pytest.raises(mc.MlopsError, match=said):
        cloud.main(["run", *arguments])


def test_a_folder_of_a_bucket_without_a_bundle_is_deployed(
    storage: None, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with google(run := CloudRun(served), monkeypatch), pytest.raises(mc.ArtifactError, match="holds no whole bundle"):
        cloud.main(["run", "gs://pictures/nothing", "--image", IMAGE, *HERE])
    assert run.sent == []


def test_a_revision_gets_traffic_before_it_has_answered_or_none_afterwards_or_it_cannot_be_taken_back(
    storage: None,
    tiny_bundle: Bundle,
    served: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with google(run := CloudRun(served).with_one(), monkeypatch):
        deploy(tiny_bundle, "--public", "--min", "1")
        new = run.revisions[-1]
        assert run.shares == [{OLD: 100}, {new: 100}]
        assert run.sent[0]["traffic"][-1] == {
            "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": new, "tag": "next"
        }  # fmt: skip
        assert {*run.sent[0]} == {"template", "traffic", "etag"}
        assert run.sent[1]["invokerIamDisabled"] is True
        assert run.sent[1]["scaling"] == {"minInstanceCount": 1}
        assert run.sent[1]["labels"]["model"] == tiny_bundle.card.digest
        said = capsys.readouterr().out
        assert "note: anybody may ask it, without a key" in said
        assert f"by model {tiny_bundle.card.digest}, at {served}" in said
        assert f"serves  https://skin.run.app, all of it by {new}" in said
        back = next(line for line in said.splitlines() if line.startswith("back"))

        cloud.main(shlex.split(back.partition("mlops_cls.cloud ")[2]))
        assert run.shares[-1] == {OLD: 100}
        assert run.service["invokerIamDisabled"] is True
        with pytest.raises(mc.ArtifactError, match="it is not known what served before skin-00001-abc"):
            cloud.main(["run", *HERE, "--rollback"])

        # Once it lies in the bucket under its version, it is deployed from there as it is.
        place = f"gs://pictures/served/{tiny_bundle.card.digest}"
        cloud.main(["run", place, "--image", IMAGE, *HERE])
        assert run.shares[-2:] == [{OLD: 100}, {run.revisions[-1]: 100}]
        assert "note: " not in capsys.readouterr().out


def test_a_new_service_is_public_before_it_has_answered(
    storage: None, tiny_bundle: Bundle, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with google(run := CloudRun(served), monkeypatch):
        deploy(tiny_bundle, "--public")
    assert ["invokerIamDisabled" in body for body in run.sent] == [False, True]
    assert run.service["annotations"] == {}
    with google(run, monkeypatch), pytest.raises(mc.ArtifactError, match="it is not known what served before"):
        cloud.main(["run", *HERE, "--rollback"])


def test_a_revision_that_does_not_start_takes_traffic_or_does_not_say_why(
    storage: None, tiny_bundle: Bundle, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = CloudRun(served, broken="The user-provided container failed to start").with_one()
    with google(run, monkeypatch), pytest.raises(mc.ArtifactError, match="container failed to start") as failed:
        deploy(tiny_bundle)
    assert "| starting\n  | which model? Give a bundle" in str(failed.value)
    assert str(failed.value).endswith("skin-00001-abc serves on as before")
    assert run.shares == []


def test_a_service_whose_first_revision_failed_is_lost(
    storage: None, tiny_bundle: Bundle, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = CloudRun(served, broken="The user-provided container failed to start")
    with google(run, monkeypatch):
        with pytest.raises(mc.ArtifactError, match="nothing served before, and nothing does now"):
            deploy(tiny_bundle)
        run.broken = ""
        deploy(tiny_bundle)
    assert run.shares[-1] == {run.revisions[-1]: 100}


def test_a_revision_that_answers_by_another_model_gets_traffic(
    storage: None, tiny_bundle: Bundle, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = another(tiny_bundle, tmp_path)
    with google(run := CloudRun(served).with_one(), monkeypatch), pytest.raises(mc.ArtifactError) as failed:
        deploy(other)
    assert f"it answers by model {tiny_bundle.card.digest}, and the bundle is {other.card.digest}" in str(failed.value)
    assert f"it has no traffic, and stays at {served}; skin-00001-abc serves on" in str(failed.value)
    assert run.shares == [{OLD: 100}]


def another(bundle: Bundle, folder: Path) -> Bundle:
    """Return a bundle of another version without samples."""
    copy = Path(shutil.copytree(bundle.folder, folder / "other"))
    shutil.rmtree(copy / SAMPLES)
    export = {key: value for key, value in bundle.card.export.items() if key != "files"}
    seal(copy, replace(bundle.card, export=export))
    return Bundle.open(copy)


def test_a_service_that_asks_for_keys_cannot_be_asked_or_its_key_is_shown(
    storage: None, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(Predictor.load(tiny_bundle.folder), Settings.checked({"api_keys": "opensesame,other"}))
    secret = "GET /secretmanager/v1/projects/lab/secrets/skin-keys/versions/latest:access"
    payload = {"payload": {"data": b64encode(b"opensesame,other\n").decode()}}
    with online(app) as address, google(CloudRun(address), monkeypatch, **{secret: [payload, 403]}) as stand_in:
        deploy(tiny_bundle, "--secret", "SERVE_API_KEYS=skin-keys")
        with pytest.raises(mc.ConfigError, match="gcloud secrets add-iam-policy-binding skin-keys --project=lab"):
            deploy(tiny_bundle, "--secret", "SERVE_API_KEYS=skin-keys")
    assert "opensesame" not in capsys.readouterr().out + Path("jobs/skin.run.json").read_text() + str(stand_in.asked)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({SERVICE: 403}, "Cloud Run refuses this account: refused with 403"),
        ({SERVICE: 503}, "answered 503: whether the service was changed is told by gcloud run services describe skin"),
        ({PATCH: 409}, "somebody else is changing the service"),
        ({PATCH: 400}, "Cloud Run refuses: refused with 400"),
        ({LOGS: 403, PATCH: {"name": "o", "done": True, "error": {"message": "no such image"}}}, "no such image"),
    ],
)
def test_a_refusal_is_told_with_a_traceback_or_moves_traffic(
    storage: None,
    tiny_bundle: Bundle,
    served: str,
    changed: dict[str, Answer],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = CloudRun(served).with_one()
    with google(run, monkeypatch, **changed), pytest.raises(mc.MlopsError, match=said):
        deploy(tiny_bundle)
    assert run.shares == []


def test_a_bucket_that_may_not_be_written_is_found_out_after_the_deployment(
    storage: None, tiny_bundle: Bundle, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with google(run := CloudRun(served), monkeypatch), pytest.raises(mc.ArtifactError, match="cannot be written"):
        cloud.main(["run", str(tiny_bundle.folder), "--to", "gs://nobodys/served", "--image", IMAGE, *HERE])
    assert run.sent == []


def test_a_rollback_of_nothing_looks_like_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with google(CloudRun(""), monkeypatch), pytest.raises(mc.ArtifactError, match="there is no service skin"):
        cloud.main(["run", *HERE, "--rollback"])


def test_a_bundle_without_samples_cannot_be_asked_about(tiny_bundle: Bundle, served: str, tmp_path: Path) -> None:
    bare = Question.of(another(tiny_bundle, tmp_path))
    assert bare.label is None
    assert "by model" in Question(bare.picture, tiny_bundle.card).ask(served, {})
    nearly = Question(bare.picture, tiny_bundle.card, tiny_bundle.card.classes[0], 2.0)
    with pytest.raises(mc.ArtifactError, match="of a sample that is"):
        nearly.ask(served, {})


@pytest.mark.parametrize(
    ("answer", "said"),
    [(403, "may this account ask it"), (503, "answered 503"), ({}, "gives no answer of mlops_cls")],
)
def test_an_address_that_is_no_service_of_ours_passes(answer: Answer, said: str, tiny_bundle: Bundle) -> None:
    routes = {"GET /ready": {}, "POST /predict": answer}
    with google_services(routes) as elsewhere, pytest.raises(mc.ArtifactError, match=said):
        Question.of(tiny_bundle).ask(elsewhere.address, {})
    with pytest.raises(mc.ArtifactError, match="does not answer"):
        Question.of(tiny_bundle).ask(elsewhere.address, {})
