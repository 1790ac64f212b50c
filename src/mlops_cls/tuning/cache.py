"""What was measured once per machine and network is kept in the user's cache folder and not measured again."""

import hashlib
import json
import logging
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path

from mlops_cls.choices import Precision
from mlops_cls.config import RuntimeConfig
from mlops_cls.runtime import Runtime, device_name
from mlops_cls.tuning.workload import Workload

log = logging.getLogger(__name__)
FORMAT = 1
Known = tuple[Runtime, list[dict[str, Any]]]


def place(workload: Workload, rule: Runtime, config: RuntimeConfig) -> Path:
    """Return the file that holds the measurements of this training step on this machine, with these settings open."""
    classifier = workload.classifier
    facts = {
        "format": FORMAT,
        "device": device_name(rule.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "network": asdict(classifier.card.architecture),
        "input": [*workload.batch[0].shape],
        "classes": classifier.card.num_classes,
        "training": [repr(classifier.loss), repr(classifier.mix), classifier.optim.name, workload.frozen],
        "open": [config.precision, config.channels_last, config.compile],
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return user_cache_path("mlops_cls") / "runtime" / f"{digest[:24]}.json"


def recall(path: Path, rule: Runtime) -> Known | None:
    """Return the runtime on the rule's device and what was measured of it, or None if nothing readable was kept."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        taken = content["taken"]
        return replace(rule, **taken | {"precision": Precision(taken["precision"])}), content["measured"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def keep(path: Path, runtime: Runtime, measured: list[dict[str, Any]]) -> None:
    """Keep measurements, if there are any, for the next run; without a place for them that measures again."""
    taken = {"precision": runtime.precision, "channels_last": runtime.channels_last, "compile": runtime.compile}
    aside = path.with_suffix(f".{os.getpid()}.partial")
    if not measured:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps({"taken": taken, "measured": measured}, indent=2) + "\n", encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        log.info("the measurements could not be kept in %s (%s)", path.parent, error.strerror)
