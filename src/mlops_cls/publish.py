"""Give a trained classifier to others: ``python -m mlops_cls.publish runs/latest --to dvc``."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlops_cls.bundle import FOLDER, Bundle
from mlops_cls.card import ModelCard
from mlops_cls.cli import run_verb
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.publishing.address import DvcAddress, Named, WandbAddress, parse
from mlops_cls.publishing.fetch import holder, local

EXIT_NOT_BETTER = 3
SCORES = ("accuracy", "balanced_accuracy")
EXAMPLE = """examples:
  python -m mlops_cls.publish runs/latest --to dvc --name skin_lesion --push
  python -m mlops_cls.publish runs/latest --to wandb --name skin_lesion --alias best --alias production
  python -m mlops_cls.publish runs/latest --to dvc --name skin_lesion --if-better
  python -m mlops_cls.publish wandb:skin_lesion:candidate --to wandb --name skin_lesion --alias best --if-better

exit code 3: --if-better was asked for, and it is not; nothing was published"""


def main(arguments: list[str]) -> None:
    """Export what was not exported yet, compare it if asked to, and put it where others find it."""
    options = _parser().parse_intermixed_args(arguments)
    _check(options)
    bundle = _bundle_of(local(options.model), options.overrides)
    address = _address(options, bundle.card)
    if options.if_better and not _is_better(bundle, address, options.score or SCORES[0]):
        sys.exit(EXIT_NOT_BETTER)
    if isinstance(address, DvcAddress):
        _put_under_dvc(bundle, address, push=options.push)
    else:
        _put_in_wandb(bundle, address, options.alias or [address.alias])


def _check(options: argparse.Namespace) -> None:
    """Refuse settings that would not be used."""
    if options.to == "dvc" and options.alias:
        raise ConfigError("--alias: DVC has none, a name's history is git's; leave it out, or use --to wandb")
    if options.score and not options.if_better:
        raise ConfigError(f"--score {options.score} is what --if-better decides by: add --if-better, or leave it out")
    if options.to == "wandb" and options.push:
        raise ConfigError("--push: W&B is given the model at once; leave it out, or use --to dvc")


def _bundle_of(model: Path, overrides: Sequence[str]) -> Bundle:
    if Bundle.is_at(model):
        if overrides:
            raise ConfigError(f"{' '.join(overrides)}: {model} is exported already, and no data are needed")
        return Bundle.open(model)
    from mlops_cls.run import find_checkpoint, home_of

    checkpoint = find_checkpoint(model)
    home = home_of(checkpoint)
    return _exported_before(home) or _export(checkpoint, home / FOLDER, overrides)


def _exported_before(run: Path) -> Bundle | None:
    """Return the run's bundle, if it was exported after the run was last scored."""
    from mlops_cls.run import Run

    try:
        bundle, card = Bundle.open(run / FOLDER), Run.open(run).card
    except ArtifactError:
        return None
    return bundle if bundle.card.to_dict() | {"export": {}} == card.to_dict() else None


def _export(checkpoint: Path, out: Path, overrides: Sequence[str]) -> Bundle:
    from mlops_cls.exporting.write import Wishes, export_checkpoint

    bundle = export_checkpoint(checkpoint, out, Wishes(), overrides=overrides)
    print(f"exported to {out}")
    return bundle


def _address(options: argparse.Namespace, card: ModelCard) -> Named:
    name = options.name or _config(card).get("run", {}).get("name")
    if name is None:
        raise ConfigError("--name NAME is needed: the model card tells of no run whose name could be taken")
    alias = (options.alias or ["best"])[0]
    address = parse(f"dvc:{name}" if options.to == "dvc" else f"wandb:{name}:{alias}")
    assert isinstance(address, Named)
    return address


def _is_better(bundle: Bundle, address: Named, score: str) -> bool:
    """Tell, with the numbers, whether the interval of the difference lies above 0; the first model always passes."""
    from mlops_cls.publishing.gate import compare, told

    found = holder(address)
    if found is None:
        print(f"{address} is free: the first model needs no comparison")
        return True
    pictures, differences = compare(bundle, found[1], str(found[0]))
    print(f"against {found[0]}, on the same {pictures} test pictures")
    for name in SCORES:
        print(f"  {name:<17}  {told(differences[name])}")
    better = differences[score].low > 0
    rule = f"the interval of the difference in {score} is{'' if better else ' not'} above 0"
    print(f"better: {rule}" if better else f"not better: {rule}; nothing was published")
    return better


def _put_under_dvc(bundle: Bundle, address: DvcAddress, *, push: bool) -> None:
    from mlops_cls.publishing.with_dvc import FILE, put_under_dvc

    target = put_under_dvc(bundle, address, push=push)
    print(f"published {address}: {os.path.relpath(target)} is tracked by {FILE}{' and pushed' if push else ''}")
    later = "" if push else " && dvc push"
    print(f'next  git add {FILE} && git commit -m "Publish {address.name}"{later}')
    print(f'load  mlops_cls.Predictor.load("{address}")')


def _put_in_wandb(bundle: Bundle, address: WandbAddress, aliases: Sequence[str]) -> None:
    from mlops_cls.publishing.with_wandb import put_in_wandb

    logger = _config(bundle.card).get("logger", {})
    project = logger.get("project") or os.environ.get("WANDB_PROJECT", "mlops_cls")
    entity = logger.get("entity") or os.environ.get("WANDB_ENTITY")
    version = put_in_wandb(bundle, address, aliases, project=project, entity=entity)
    print(f"published {version}, which is now {' and '.join(aliases)}")
    print(f'load  mlops_cls.Predictor.load("{address}")')


def _config(card: ModelCard) -> dict[str, Any]:
    config: dict[str, Any] = card.provenance.get("config", {})
    return config


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.publish",
        description="Put a model's bundle under DVC's version control, or into W&B's registry.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="a run folder, a .ckpt file, a bundle, or a published one such as dvc:NAME")
    parser.add_argument("overrides", nargs="*", help="for the export: where the data are now, such as data.root=FOLDER")
    parser.add_argument("--to", choices=("dvc", "wandb"), required=True, help="models/NAME in models.dvc; the registry")
    parser.add_argument("--name", help="of the model (default: the run's); with wandb also REGISTRY/NAME")
    parser.add_argument(
        "--alias", action="append", metavar="ALIAS", help="in W&B, once or more (default best); another model loses it"
    )
    parser.add_argument(
        "--if-better", action="store_true", help="publish only if a paired test against what is there says so"
    )
    parser.add_argument("--score", choices=SCORES, help="by which --if-better decides (default accuracy)")
    parser.add_argument("--push", action="store_true", help="send it to DVC's remote too")
    return parser


if __name__ == "__main__":
    run_verb(main)
