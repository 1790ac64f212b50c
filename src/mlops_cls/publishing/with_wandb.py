"""Bundles as versions of collections in a W&B registry."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlops_cls.bundle import CARD, Bundle
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.publishing.address import WandbAddress
from mlops_cls.publishing.cache import bring_once, place_of
from mlops_cls.tracking.keys import base_url, find_key
from mlops_cls.tracking.models import target_of
from mlops_cls.tracking.registry import download, look_up, upload
from mlops_cls.tracking.sending import check_access


def put_in_wandb(
    bundle: Bundle, address: WandbAddress, aliases: Sequence[str], *, project: str, entity: str | None
) -> WandbAddress:
    """Upload a bundle as the newest version of its collection, with the aliases; return that version's address.

    Raises:
        ArtifactError: W&B is out of reach, or does not take it.
        ConfigError: there is no key, or W&B refuses it.
    """
    card = bundle.card
    about = {"scores": card.scores, "classes": list(card.classes), "export": card.export}
    files = {name: bundle.folder / name for name in (CARD, *card.export["files"])}
    place = {"project": project, "entity": entity}
    version = upload(files, about, _target(address), aliases, key=_key(address), **place)
    return replace(address, alias=version)


def fetch_from_wandb(address: WandbAddress) -> Bundle:
    """Return a bundle of a registry; a version such as v3 that was brought here before needs no network.

    Raises:
        ArtifactError: no such collection or alias, W&B is out of reach, or what came is no whole bundle.
        ConfigError: there is no key, or W&B refuses it.
    """
    version = address if address.fixed and Bundle.is_at(_place(address)) else version_of(address)
    if version is None:
        raise ArtifactError(f"{address} is not in W&B: {base_url()}/registry shows which collections and aliases are")
    return bring_once(_place(version), lambda folder: download(_looked_up(version), folder))


def version_of(address: WandbAddress) -> WandbAddress | None:
    """Return the version that an alias points to, or None where nothing does.

    Raises:
        ArtifactError: W&B is out of reach.
        ConfigError: there is no key, or W&B refuses it.
    """
    artifact = _looked_up(address)
    return None if artifact is None else replace(address, alias=artifact.version)


def _looked_up(address: WandbAddress) -> Any:
    return look_up(_target(address), address.alias, key=_key(address))


def _key(address: WandbAddress) -> str:
    key = find_key()
    if key is None:
        raise ConfigError(f"{address} needs a W&B key: set WANDB_API_KEY, or type wandb login")
    try:
        check_access(key)
    except ConnectionError as error:
        raise ArtifactError(f"{address}: {error}; a version that was loaded here, such as v3, loads without") from error
    return key


def _place(address: WandbAddress) -> Path:
    host = "".join(letter if letter.isalnum() else "_" for letter in base_url())
    return place_of("wandb", host, address.registry, address.collection, address.alias)


def _target(address: WandbAddress) -> str:
    target = target_of(f"{address.registry}/{address.collection}")
    assert target is not None
    return target
