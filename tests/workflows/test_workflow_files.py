"""What the workflows ask for is there: files, commands, targets of make, verbs with options; and no more rights."""

import re
import shlex
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from workflow_steps import FOLDER, IN_BASH, ROOT, Step, jobs, spoken, steps, workflows

from mlops_cls.cli import VERBS

EXAMPLES = {
    "BASE": "HEAD~1",
    "BUNDLE": "gs://lab-models/skin",
    "COLLECTION": "digits",
    "DATA": "seabed",
    "GH_TOKEN": "t",
    "GITHUB_REF_NAME": "v0.1.0",
    "GITHUB_REPOSITORY": "lab/classifier",
    "GITHUB_SHA": "0123456789abcdef0123456789abcdef01234567",
    "IMAGE": "api",
    "MODEL": "wandb:digits:candidate",
    "MOST_MS": "50",
    "NUMBER": "7",
    "PROJECT": "lab",
    "REGION": "europe-west4",
    "REPOSITORY": "europe-west4-docker.pkg.dev/lab/images",
    "SERVICE": "skin",
    "TOKEN": "t",
    "UV_RESOLUTION": "highest",
    "WANDB_API_KEY": "k",
    "WANDB_ENTITY": "lab",
}
"""What GitHub would fill in."""


def test_a_job_may_do_more_than_it_says() -> None:
    assert {name: flow["permissions"] for name, flow in workflows().items() if flow["permissions"] != {}} == {}
    assert [name for name, job in jobs() if "permissions" not in job] == []


def test_a_job_hangs_for_six_hours() -> None:
    assert [name for name, job in jobs() if "uses" not in job and job["timeout-minutes"] > 60] == []


def test_only_who_publishes_or_deploys_has_an_identity() -> None:
    with_identity = {name for name, job in jobs() if "id-token" in job["permissions"]}
    assert with_identity == {
        "data.changes", "data.check", "deploy.images", "deploy.service", "deploy.rollback", "docs.publish",
        "images.push", "release.publish",
    }  # fmt: skip
    # An identity is that of an environment, which Google, PyPI and Pages are told of.
    assert [
        name for name, job in jobs() if "id-token" in job["permissions"] and not {"environment", "uses"} & {*job}
    ] == []


def test_an_action_is_used_in_two_versions() -> None:
    text = "\n".join(file.read_text(encoding="utf-8") for file in FOLDER.glob("*.yml"))
    used = set(re.findall(r"uses: ([\w/-]+)@(.*)", text))
    assert len(used) == len({action for action, _ in used}) > 5
    assert [version for _, version in used if not re.fullmatch(r"[0-9a-f]{40} # v\d+\.\d+\.\d+", version)] == []


def test_a_pipe_hides_the_failure_before_it() -> None:
    assert [str(step) for step in steps() if "|" in step.run and step.shell != "bash"] == []


def test_a_workflow_waits_for_paths_that_are_nowhere() -> None:
    events: list[dict[str, Any]] = [flow[True].get("pull_request") or {} for flow in workflows().values()]
    patterns = [pattern for event in events for pattern in event.get("paths", [])]
    assert len(patterns) > 5
    assert [pattern for pattern in patterns if not any(ROOT.glob(pattern.replace("/**", "/*")))] == []


def test_data_that_no_config_knows_are_examined() -> None:
    names = workflows()["data"]["jobs"]["check"]["strategy"]["matrix"]["data"]
    assert {*names} <= {file.stem for file in (ROOT / "configs" / "data").glob("*.yaml")}


def test_the_oldest_python_is_left_untested() -> None:
    versions = workflows()["tests"]["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert f'requires-python = ">={versions[0]}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@IN_BASH
@pytest.mark.parametrize("step", steps(), ids=str)
def test_a_step_types_what_is_not_there(step: Step, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    for name in ("dist/mlops_cls-0.1.0-py3-none-any.whl", "data-seabed.md"):
        (tmp_path / name).touch()
    first = shlex.split(step.run)[0]
    if first in ("bash", "test"):  # run as they are in test_workflow_steps.py, or by .ci/run
        assert first == "test" or (ROOT / shlex.split(step.run)[1]).is_file()
        return
    for words in spoken(step, tmp_path, EXAMPLES):
        check(words)


def check(words: list[str]) -> None:
    match words:
        case ["uv", "run", "python", "-m", module, *rest]:
            check_verb(module.removeprefix("mlops_cls."), rest)
        case ["uv", "run", tool, *_]:
            assert shutil.which(tool), tool
        case ["make", target, *_]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert re.search(rf"^{re.sub('docker-.*', 'docker-%', target)}:", makefile, re.MULTILINE), target
        case ["uv", "build"] | ["docker", "run" | "image" | "login" | "push", *_] | ["gh", "pr", "comment", *_]:
            pass
        case _:
            raise AssertionError(words)


def check_verb(verb: str, rest: list[str]) -> None:
    assert verb in VERBS
    module = import_module(f"mlops_cls.{verb}")
    if verb == "cloud":
        module = import_module(f"mlops_cls.google_cloud.{rest.pop(0)}")
    if verb == "check":
        options, overrides = module._own_options().parse_known_args(rest)
        assert options.markdown
        assert [word for word in overrides if "=" not in word] == []
        return
    assert vars(module._parser().parse_intermixed_args(rest))  # what is refused ends the process
