"""A published model by its address."""

from pathlib import Path

from mlops_cls.bundle import Bundle
from mlops_cls.publishing.address import Address, DvcAddress, GsAddress, Named, parse


def local(model: str | Path) -> Path:
    """Return where a model lies on this machine: a path as it is, a published one after `fetch`.

    Raises:
        ArtifactError, ConfigError, DataError: as `fetch`, or it begins like an address and is none.
    """
    address = parse(model)
    return Path(model) if address is None else fetch(address).folder


def fetch(address: Address) -> Bundle:
    """Bring a published bundle into the cache, once, and return it verified.

    Raises:
        ArtifactError: there is none of that name, it is damaged, or a bucket cannot be read.
        ConfigError: there is no key for W&B, or a package is missing.
        DataError: DVC's remote cannot serve it.
    """
    # Each brings libraries that the other does without.
    if isinstance(address, DvcAddress):
        from mlops_cls.publishing.with_dvc import fetch_from_dvc

        return fetch_from_dvc(address)
    if isinstance(address, GsAddress):
        from mlops_cls.publishing.with_gs import fetch_from_gs

        return fetch_from_gs(address)
    from mlops_cls.publishing.with_wandb import fetch_from_wandb

    return fetch_from_wandb(address)


def holder(address: Named) -> tuple[Named, Bundle] | None:
    """Return what an address means now, with its bundle; None where nothing was published under it yet.

    Raises:
        ArtifactError, ConfigError, DataError: as `fetch`; not for a name that is free.
    """
    if isinstance(address, DvcAddress):
        from mlops_cls.publishing.with_dvc import is_in_dvc

        return (address, fetch(address)) if is_in_dvc(address) else None
    from mlops_cls.publishing.with_wandb import version_of

    version = version_of(address)
    return None if version is None else (version, fetch(version))
