"""The stand-in itself, driven by W&B's own commands."""

import os
import subprocess
import sys
from pathlib import Path

from wandb_server import WandbServer

PROGRAM = """
import sys, wandb
from pathlib import Path
first = not Path("was_here").exists()
Path("was_here").touch()
run = wandb.init(resume="allow", settings=wandb.Settings(console="off"))
run.log({"score": len(sys.argv)})
if first:
    run.mark_preempting()
run.finish(exit_code=75 if first else 0)
sys.exit(75 if first else 0)
"""
SWEEP = """
program: program.py
method: grid
metric: {name: score, goal: maximize}
command: ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"]
parameters:
  optim.lr: {values: [0.1, 0.2]}
  run.name: {value: two words}
"""


def test_a_sweep_gives_a_preempted_run_out_again_and_then_the_rest(wandb_server: WandbServer, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    home = Path(sys.executable).parent
    environment = os.environ | wandb_server.environment(tmp_path) | {"PATH": f"{home}{os.pathsep}{os.environ['PATH']}"}

    def wandb(*words: str) -> None:
        command = [home / "wandb", *words]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=120)

    wandb("sweep", "--project", "trial", "sweep.yaml")
    (sweep,) = wandb_server.sweeps.values()
    wandb("agent", f"local/trial/{sweep.name}")

    first, second = (wandb_server.runs[name] for name in sweep.runs)
    assert [first.state, second.state, sweep.state] == ["finished", "finished", "FINISHED"]
    assert [first.starts, second.starts] == [2, 1]
    assert [line["_step"] for line in first.history] == [0, 1]
    assert [run.values()["optim.lr"] for run in (first, second)] == [0.1, 0.2]
    assert wandb_server.refused == []
