"""MODEL_CARD.md, under the headings of Mitchell et al. 2019 (arXiv:1810.03993), with the front matter of Hugging Face.

It says what is known from the card and the evaluation; what nobody stated is said to be not stated.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from mlops_cls.card import ModelCard
from mlops_cls.data.manifest import Manifest
from mlops_cls.report.page import command_of
from mlops_cls.report.templating import render_text

FILE = "MODEL_CARD.md"
# An underscore within a word is no emphasis.
SPECIAL = re.compile(r"([\\`*\[\]<>#|~$]|(?<![^\W_])_|_(?![^\W_]))")
# By the names that Hugging Face's `evaluate` has for them.
METRICS = {"accuracy": "accuracy", "macro_f1": "f1", "auroc": "roc_auc", "brier": "brier_score"}


def model_card(card: ModelCard, evaluation: Mapping[str, Any], manifest: Manifest | None = None) -> str:
    """Return the text; without `manifest` it does not tell how many pictures each split has."""
    return render_text(
        "MODEL_CARD.md",
        front=yaml.safe_dump(_front_matter(card, evaluation), sort_keys=False, allow_unicode=True).strip(),
        card=card,
        e=evaluation,
        p=card.provenance,
        manifest=manifest,
        title=card.title,
        command=command_of(card.provenance),
        attributes={name: _by_value(values) for name, values in card.attributes.items()},
        words=plain,
    )


def plain(text: object) -> str:
    """Return a text, such as a class name, in one line that Markdown leaves as it is."""
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _by_value(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the classes of each value of an attribute."""
    found: dict[str, list[str]] = {}
    for name, value in values.items():
        found.setdefault(str(value), []).append(name)
    return found


def _front_matter(card: ModelCard, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    data = card.provenance.get("data", {}).get("source", "not stated")
    measured = [
        {"type": kind, "name": name, "value": round(evaluation["scores"][name]["value"], 4)}
        for name, kind in METRICS.items()
        if evaluation["scores"].get(name, {}).get("value") is not None
    ]
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"name": data, "type": data, "split": evaluation["split"]},
        "metrics": measured,
    }
    return {
        "library_name": "mlops_cls",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", card.architecture.name],
        "metrics": [entry["type"] for entry in measured],
        "model-index": [{"name": card.title, "results": [result]}],
    }
