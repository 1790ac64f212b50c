"""The workflows as values, and their steps in bash as GitHub's runners do them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
IN_BASH = pytest.mark.skipif(sys.platform == "win32" or not shutil.which("bash"), reason="needs bash")
FOLDER = ROOT / ".github" / "workflows"
# Told apart by what they were asked, in place of doing it: one JSON list of words a line.
NOTED = """#!{python} -S
import json, os, sys
with open(os.environ["NOTED"], "a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
"""


@dataclass(frozen=True, slots=True)
class Step:
    """A step that runs something; `env` is what the step itself, its job and its workflow set, as it is written."""

    workflow: str
    job: str
    name: str
    run: str
    shell: str | None
    env: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.workflow}-{self.job}-{self.name}".replace(" ", "_")


@cache
def workflows() -> dict[str, dict[Any, Any]]:
    """Return all workflows by name; the key ``on`` is YAML's True."""
    return {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.yml"))}


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every job of every workflow, as ``workflow.job``."""
    for name, workflow in workflows().items():
        for job, values in workflow["jobs"].items():
            yield f"{name}.{job}", values


def steps() -> list[Step]:
    """Return all steps that run something."""
    found = []
    for place, job in jobs():
        workflow, _, name = place.partition(".")
        whole = workflows()[workflow]
        shell = whole.get("defaults", {}).get("run", {}).get("shell")
        for step in job.get("steps", []):
            if "run" in step:
                env = {**whole.get("env", {}), **job.get("env", {}), **step.get("env", {})}
                found.append(Step(workflow, name, step["name"], step["run"], step.get("shell", shell), env))
    return found


def spoken(step: Step, folder: Path, env: Mapping[str, str]) -> list[list[str]]:
    """Return the words that reach uv, make, docker and gh when bash runs the step in `folder`, with this environment.

    Raises:
        AssertionError: bash fails, or the step uses a name that neither `env` nor GitHub gives it.
    """
    noted, tools = folder / ".noted", folder / ".tools"
    tools.mkdir(exist_ok=True)
    for tool in ("uv", "make", "docker", "gh"):
        (tools / tool).write_text(
            NOTED.format(python=sys.executable).replace("sys.argv[1:]", f"[{tool!r}, *sys.argv[1:]]")
        )
        (tools / tool).chmod(0o755)
    noted.write_text("")
    missing = {name for name, value in step.env.items() if "${{" in str(value)} - env.keys()
    assert not missing, missing
    literal = {name: str(value) for name, value in step.env.items()}
    given = {"GITHUB_STEP_SUMMARY": str(folder / "summary.md"), "NOTED": str(noted), **literal, **env}
    bash = ["bash", "-eu", *(["-o", "pipefail"] if step.shell == "bash" else []), "-c", step.run]
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(bash, cwd=folder, env={"PATH": path, **given}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in noted.read_text().splitlines()]
