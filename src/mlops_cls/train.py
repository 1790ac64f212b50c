"""Train, select, test and keep a classifier: ``python -m mlops_cls.train experiment=quickstart``."""

from mlops_cls.cli import run_verb


def main(arguments: list[str]) -> None:
    """Compose the config that the command line asks for, and fit it."""
    from mlops_cls.compose import run_with_config
    from mlops_cls.fit import fit

    run_with_config(fit, "mlops_cls.train", arguments)


if __name__ == "__main__":
    run_verb(main)
