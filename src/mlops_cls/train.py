"""Train, select, test and keep a classifier: ``python -m mlops_cls.train experiment=quickstart``."""

import os
from typing import TYPE_CHECKING

from mlops_cls.cli import run_verb
from mlops_cls.importing import without_collection
from mlops_cls.interruption import Interruption
from mlops_cls.vertex import finished_run, machines, model_folder, note_finished, run_folder

if TYPE_CHECKING:
    from mlops_cls.config import Config
    from mlops_cls.run import Run

USAGE = """Train, select, test and keep an image classifier.

  python -m mlops_cls.train experiment=quickstart
  python -m mlops_cls.train experiment=resnet18 data=folder data.root=my_pictures optim.lr=3e-4
  python -m mlops_cls.train -m experiment=quickstart optim.lr=1e-3,3e-3
  python -m mlops_cls.train -m experiment=quickstart data.folds=5 data.fold=1,2,3,4,5"""


def main(arguments: list[str]) -> None:
    """Compose the config that the command line asks for, and fit it; several folds are summed up at the end."""
    from mlops_cls.compose import run_with_config

    # From the first second, in which torch is imported: a scheduler knows by the exit code what to start again.
    with Interruption():
        os.environ.update(machines(os.environ))
        run_with_config(_fit, "mlops_cls.train", arguments, usage=USAGE, at_end=_conclude)


def _fit(config: "Config") -> "Run":
    _keep_on_vertex(config)
    settings = repr(config)
    done = finished_run(settings)
    if done is not None:
        from mlops_cls.run import Run

        return Run.open(done)
    run = _train(config)
    note_finished(settings, run.folder)
    return run


def _train(config: "Config") -> "Run":
    # Imported only now, so that help and the refusal of a mistyped setting come without waiting for torch.
    from mlops_cls.launch import launch, processes_to_start

    number = processes_to_start(config)
    if number is not None:
        return launch(config, number)  # which computes nothing here, and needs no torch either
    with without_collection():
        from mlops_cls.training import fit

    return fit(config)


def _keep_on_vertex(config: "Config") -> None:
    """Keep the run where Vertex AI says, unless the settings say where."""
    from mlops_cls.config import RunConfig

    if config.run.folder == RunConfig().folder:
        config.run.folder = run_folder() or config.run.folder


def _conclude(runs: "list[Run]") -> None:
    if len(runs) > 1:
        from mlops_cls.folds import conclude_folds

        conclude_folds(runs)
    out = model_folder()
    if out is not None:
        from mlops_cls.exporting.deliver import deliver

        for run in runs:
            deliver(run, out / run.folder.name if len(runs) > 1 else out)


if __name__ == "__main__":
    run_verb(main)
