"""Search for better settings: ``python -m mlops_cls.sweep configs/sweep.yaml --count 20``."""

import argparse
import sys
from pathlib import Path

from mlops_cls.cli import positive, run_verb

EXAMPLE = """examples:
  python -m mlops_cls.sweep configs/sweep.yaml --count 20 --jobs 2
  python -m mlops_cls.sweep configs/sweep.yaml --count 20 logger=none optim.weight_decay=0
  python -m mlops_cls.sweep configs/sweep.yaml --check          # before wandb sweep configs/sweep.yaml

The same command again goes on where it was interrupted; several machines share a sweep through --storage."""


def main(arguments: list[str]) -> None:
    """Search as a sweep file of W&B says, without W&B."""
    options = _parser().parse_intermixed_args(arguments)
    from mlops_cls.search.driver import Plan, check, run

    plan = Plan(**vars(options))
    if plan.check:
        print(check(plan))
    elif not run(plan):
        sys.exit(75)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.sweep",
        description="Search for better settings as a W&B sweep file says, without W&B.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", help="sweep file, or the name of one that comes with the package")
    parser.add_argument("overrides", nargs="*", help="further settings of all trials, such as logger=none")
    parser.add_argument("--count", type=positive, help="trials in all, those of earlier calls included")
    parser.add_argument("--jobs", type=positive, default=1, help="trials at a time (default 1)")
    parser.add_argument("--folder", type=Path, default=Path("sweeps"), help="where sweeps are kept (default sweeps)")
    parser.add_argument("--name", help="name of the sweep and its folder (default: the file's)")
    parser.add_argument("--storage", help="database that machines share, such as postgresql+psycopg://…")
    parser.add_argument("--seed", type=int, default=0, help="of what is proposed (default 0)")
    parser.add_argument("--check", action="store_true", help="only find mistakes")
    parser.add_argument("--changed", action="store_true", help="go on although the file was changed")
    parser.add_argument("--retry-failed", action="store_true", help="try the trials that failed once more")
    return parser


if __name__ == "__main__":
    run_verb(main)
