"""Run a finished run again and compare: ``python -m mlops_cls.reproduce runs/latest``."""

import argparse
import sys

from mlops_cls.cli import run_verb

EPILOG = """exit code: 0 reproduced (with --check: nothing is different), 3 not, 2 a mistake that you can mend

examples:
  python -m mlops_cls.reproduce runs/latest
  python -m mlops_cls.reproduce runs/latest --check
  python -m mlops_cls.reproduce runs/latest data.root=/elsewhere/pictures --tolerance 0.01"""
EXIT_DIFFERS = 3


def main(arguments: list[str]) -> None:
    """Say what is different here; then train again, compare, and exit with whether it came out the same."""
    options = _parser().parse_intermixed_args(arguments)
    from mlops_cls.reproducing import FILE, examine, repeat

    repetition = examine(
        options.run, options.overrides, other_data=options.other_data, trust_callbacks=options.trust_callbacks
    )
    print(*repetition.lines(), sep="\n")
    if options.check:
        sys.exit(EXIT_DIFFERS if repetition.changes else 0)
    compared = repeat(repetition, tolerance=options.tolerance)
    print(*compared.lines(), f"written to {compared.again}/{FILE}", sep="\n")
    sys.exit(0 if compared.reproduced else EXIT_DIFFERS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.reproduce",
        description="Run a finished run again with its settings, on its data, and compare scores and, on the same "
        "hardware, weights. What is different here is said first.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", help="a run folder, or a W&B run: ENTITY/PROJECT/ID")
    parser.add_argument(
        "overrides", nargs="*", help="where things lie here: data.root=FOLDER data.store=FOLDER run.folder=FOLDER; "
        "on what to compute: runtime.KEY=VALUE; who hears of it: logger.name=wandb"
    )  # fmt: skip
    parser.add_argument("--check", action="store_true", help="only say what is different; train nothing")
    parser.add_argument(
        "--tolerance", type=float, default=0.0, metavar="T",
        help="largest difference of a score that still counts as the same, whatever the weights (default 0: scores "
        "and weights must be equal)",
    )  # fmt: skip
    parser.add_argument("--other-data", action="store_true", help="go on although the data are not those of the run")
    parser.add_argument(
        "--trust-callbacks", action="store_true", help="call the code that the run names as trainer.callbacks"
    )
    return parser


if __name__ == "__main__":
    run_verb(main)
