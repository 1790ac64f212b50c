"""The console script `mlops-cls`: lists the verbs in the order of a model's life, and runs them."""

import os
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from importlib import import_module
from io import TextIOWrapper

from mlops_cls.errors import Interrupted, MlopsError, did_you_mean

VERBS = {
    "prepare": "turn raw pictures into a checked, split, memory-mapped store",
    "check": "find leaks, copies, wrong labels, shortcuts and bad files in a data set; HTML report",
    "augment": "draw training pictures before and after augmentation",
    "train": "train, select, test and keep a classifier",
    "sweep": "search for better settings: grid, random or Bayesian, on one machine or many",
    "cluster": "train or sweep on a Slurm or LSF cluster: writes and submits the job, which goes on after its time",
    "cloud": "train on Vertex AI, serve on Cloud Run, build images, be told; check and set up what that needs",
    "evaluate": "score a trained classifier on a split, or on other data of the same classes",
    "export": "make a trained classifier a folder that needs no torch, checked against its checkpoint",
    "benchmark": "compare size, speed and accuracy of an exported model by all that can compute it here",
    "compare": "put finished runs beside one another, with paired differences",
    "reproduce": "run a finished run again and compare scores and weights",
    "predict": "classify pictures and folders; CSV or JSON out",
    "serve": "answer pictures over HTTP, with a page for people",
    "drift": "tell whether pictures and answers have changed since training; a page, and a table to retrain on",
    "publish": "give a model to others, by DVC or W&B's registry, if it is better than theirs",
    "sync": "send to W&B what runs kept offline",
}
EXIT_ERROR, EXIT_INTERRUPTED, EXIT_UNREAD = 2, 130, 141


def main() -> None:
    """Run ``mlops-cls VERB ...``, or list the verbs."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(_overview())
        return
    verb = sys.argv[1]
    if verb not in VERBS:
        print(f"mlops-cls: {verb} is not a verb{did_you_mean(verb, VERBS)}\n\n{_overview()}", file=sys.stderr)
        sys.exit(EXIT_ERROR)
    run_verb(import_module(f"mlops_cls.{verb}").main, sys.argv[2:])


def run_verb(verb: Callable[[list[str]], None], arguments: list[str] | None = None) -> None:
    """Run a verb; print an error the user can mend without a traceback and exit 2, let any other keep its own."""
    _speak_utf8()
    try:
        verb(sys.argv[1:] if arguments is None else arguments)
    except MlopsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_ERROR)
    except Interrupted as interrupted:
        print(f"interrupted: {interrupted}", file=sys.stderr)
        sys.exit(interrupted.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Nobody reads any more, as behind `| head`. Python would complain at its exit too, when it flushes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_UNREAD)


def _speak_utf8() -> None:
    """Write as Python does from 3.15 on; before, Windows' code page in a pipe or file has no room for most names."""
    if "PYTHONIOENCODING" in os.environ:
        return
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(encoding="utf-8", errors=stream.errors)


def positive(text: str) -> int:
    """Return an option's whole number, at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _overview() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {line}" for verb, line in VERBS.items()]
    example = "  mlops-cls train experiment=quickstart\n  mlops-cls train --help"
    return "\n".join(
        ["mlops-cls VERB ..., the same as python -m mlops_cls.VERB ...", "", *lines, "", "such as", example]
    )
