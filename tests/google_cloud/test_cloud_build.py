"""Images of a commit by Cloud Build: what is refused, what is sent, and how a build is watched."""

import io
import json
import shlex
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from google.cloud.devtools.cloudbuild_v1.types import Build
from google.protobuf import json_format

import mlops_cls as mc
from google_services import Answer, Services, google_services
from mlops_cls import cloud
from mlops_cls.bucket import open_buckets
from mlops_cls.google_cloud import watching

REPOSITORY = "europe-west4-docker.pkg.dev/lab/images"
BUILDS = "/cloudbuild/v1/projects/lab/locations/global/builds"
LOGS = "POST /logging/v2/entries:list"
TAKEN = {"metadata": {"build": {"id": "42", "logUrl": "https://console.cloud.google.com/42"}}}
PUSHED = {"images": [{"name": f"{REPOSITORY}/api:latest", "digest": "sha256:0"}]}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with the files that images are built by, and a key that git ignores."""
    folder = tmp_path / "checkout"
    for name in ("dockerfiles/train.dockerfile", "dockerfiles/api.dockerfile", "src/main.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / ".gitignore").write_text(".env\njobs/\n")
    (folder / ".env").write_text("WANDB_API_KEY=opensesame")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "somebody")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "All there is"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(watching, "INTERVAL", 0.0)
    return folder


def commit_of(folder: Path) -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def typed(build: dict[str, Any]) -> Build:
    parsed = Build()
    json_format.ParseDict(build, Build.pb(parsed))
    return parsed


def build_there(
    answers: dict[str, Answer | list[Answer]], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> Services:
    with google_services({f"POST {BUILDS}": TAKEN, LOGS: {}, **answers}) as services:
        monkeypatch.setenv("MLOPS_CLS_GOOGLE", services.address)
        cloud.main(["build", "--repository", REPOSITORY, "--bucket", "gs://pictures/source", *arguments])
    return services


def test_a_dry_run_needs_an_account_or_writes_what_the_api_does_not_know(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.main(["build", "--repository", REPOSITORY, "--accelerator", "cpu", "--dry-run"])
    build = typed(json.loads(Path("jobs/images.build.json").read_text()))
    commit = commit_of(checkout)
    assert list(build.images) == [
        f"{REPOSITORY}/{name}:{tag}" for name in ("train", "api") for tag in (commit[:12], "latest")
    ]
    train, api = build.steps
    assert f"--build-arg=COMMIT={commit}" in train.args and f"--build-arg=COMMIT={commit}" in api.args
    assert [word for word in (*train.args, *api.args) if "ACCELERATOR" in word] == ["--build-arg=ACCELERATOR=cpu"]
    assert build.timeout.seconds == 3600
    assert build.options.machine_type.name == "E2_HIGHCPU_8"
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("gcloud"))
    assert shlex.split(line)[1:] == [
        "gcloud", "builds", "submit", ".", "--config=jobs/images.build.json",
        "--gcs-source-staging-dir=gs://lab_cloudbuild/source", "--project=lab", "--region=global",
    ]  # fmt: skip


REFUSED: dict[str, tuple[list[str], str]] = {
    "no repository": (["--repository", "lab/images"], "is no REGION-docker.pkg.dev/PROJECT/REPOSITORY"),
    "a mistyped image": (["apy"], "did you mean 'api'"),
    "a mistyped processor": (["--accelerator", "cude"], "did you mean 'cuda'"),
    "a mistyped machine": (["--machine", "e2-highcpu-9"], "did you mean"),
    "two days": (["--minutes", "2880"], "1440, a day, is the most"),
    "no bucket": (["--bucket", "source"], "is no bucket"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_fail_is_submitted(what: str, checkout: Path) -> None:
    arguments, said = REFUSED[what]
    with pytest.raises(mc.ConfigError, match=said):
        cloud.main(["build", "--repository", REPOSITORY, *arguments, "--dry-run"])
    assert not Path("jobs").exists()


def test_files_that_are_of_no_commit_are_built(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "src" / "new.py").write_text("")
    with pytest.raises(mc.ConfigError, match=r"differ from it: \?\? src/new\.py; git add and git commit"):
        cloud.main(["build", "--repository", REPOSITORY, "--dry-run"])
    subprocess.run(["git", "rm", "-q", "dockerfiles/api.dockerfile"], check=True)
    subprocess.run(["git", "add", "."], check=True)
    subprocess.run(["git", "commit", "-q", "-m", "Without"], check=True)
    with pytest.raises(mc.ConfigError, match=r"has no dockerfiles/api\.dockerfile"):
        cloud.main(["build", "--repository", REPOSITORY, "--dry-run"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(mc.ConfigError, match="is no checkout of git"):
        cloud.main(["build", "--repository", REPOSITORY, "--dry-run"])


def test_more_than_the_commit_is_sent_or_it_is_sent_twice_or_the_end_is_missed(
    checkout: Path, storage: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    went: list[Answer] = [{"status": "QUEUED"}, {"status": "WORKING"}, 503, {"status": "SUCCESS", "results": PUSHED}]
    said = {"entries": [{"insertId": "1", "timestamp": "2026-11-21T10:00:00Z", "textPayload": "Step 1/9"}]}
    services = build_there({f"GET {BUILDS}/42": went, LOGS: said}, monkeypatch)
    (sent,) = [body for question, body in services.asked if question == f"POST {BUILDS}"]
    source = typed(sent).source.storage_source
    assert (source.bucket, source.object_) == ("pictures", f"source/{commit_of(checkout)}.tar.gz")
    packed = open_buckets("this test").cat_file(f"{source.bucket}/{source.object_}")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        files = {member.name for member in archive if member.isfile()}
    assert files == {".gitignore", "dockerfiles/train.dockerfile", "dockerfiles/api.dockerfile", "src/main.py"}
    lines = capsys.readouterr().out.splitlines()
    assert "Step 1/9" in lines
    assert lines[-1] == f"pushed  {REPOSITORY}/api:latest sha256:0"
    build_there({}, monkeypatch, "--no-wait")
    assert "which was there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({f"POST {BUILDS}": 403}, "refused with 403; python -m mlops_cls.cloud doctor --for build"),
        ({f"POST {BUILDS}": 503}, "whether the build was taken is told by gcloud builds list --project=lab"),
        ({f"GET {BUILDS}/42": 404}, "the build cannot be watched"),
        ({f"GET {BUILDS}/42": 503}, "goes on without being watched: gcloud builds describe 42"),
        (
            {f"GET {BUILDS}/42": {"status": "FAILURE", "steps": [{"id": "api", "status": "FAILURE"}],
                                  "failureInfo": {"detail": "step exited with 1"}}},
            "the build ended as failure: api: step exited with 1; gcloud builds describe 42",
        ),
    ],
)  # fmt: skip
def test_a_build_that_failed_looks_like_one_that_did_not(
    answers: dict[str, Answer | list[Answer]], said: str, checkout: Path, storage: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(mc.MlopsError, match=said):
        build_there(answers, monkeypatch)


def test_a_bucket_that_is_not_there_is_told_with_a_traceback(
    checkout: Path, storage: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(mc.ArtifactError, match="cloud bucket gs://nobodys"):
        build_there({}, monkeypatch, "--bucket", "gs://nobodys/source")
