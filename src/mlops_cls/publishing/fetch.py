"""A published model by its address."""

from mlops_cls.bundle import Bundle
from mlops_cls.publishing.address import Address, DvcAddress


def fetch(address: Address) -> Bundle:
    """Bring a published bundle into the cache, once, and return it verified.

    Raises:
        ArtifactError: there is none of that name, or it is damaged.
        ConfigError: there is no key for W&B, or a package is missing.
        DataError: DVC's remote cannot serve it.
    """
    # Each brings libraries that the other does without.
    if isinstance(address, DvcAddress):
        from mlops_cls.publishing.with_dvc import fetch_from_dvc

        return fetch_from_dvc(address)
    from mlops_cls.publishing.with_wandb import fetch_from_wandb

    return fetch_from_wandb(address)


def holder(address: Address) -> tuple[Address, Bundle] | None:
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
