"""Bundles in a W&B registry: versions of a collection, with aliases that say which one is in use."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb

from mlops_cls.bundle import Bundle
from mlops_cls.errors import ArtifactError, ConfigError, MlopsError
from mlops_cls.publishing.address import WandbAddress
from mlops_cls.publishing.cache import bring_once, place_of
from mlops_cls.tracking.keys import base_url, find_key
from mlops_cls.tracking.models import PATIENCE, target_of
from mlops_cls.tracking.sending import check_access, settings_of

KIND = "model"


def put_in_wandb(
    bundle: Bundle, address: WandbAddress, aliases: Sequence[str], *, project: str, entity: str | None, key: str
) -> WandbAddress:
    """Upload a bundle as the newest version of its collection, with the aliases; return that version's address.

    A bundle that is a version there already gets the aliases alone.

    Raises:
        ArtifactError: W&B does not take it; the message ends with what it said.
    """
    card = bundle.card
    about = {"scores": card.scores, "classes": list(card.classes), "export": card.export}
    with _explained(f"{address} was not published"), tempfile.TemporaryDirectory() as aside:
        artifact = wandb.Artifact(address.collection, type=KIND, metadata=about)
        for name in ("card.json", *card.export["files"]):
            artifact.add_file(str(bundle.folder / name), name=name, policy="immutable")  # Sent from where it lies.
        place: dict[str, Any] = {"project": project, "entity": entity, "dir": aside}
        with wandb.init(job_type="publish", mode="online", settings=settings_of(key), **place) as run:
            run.log_artifact(artifact)
            artifact.wait(PATIENCE)
            linked = run.link_artifact(artifact, _target(address), aliases=list(aliases))
        return WandbAddress(address.registry, address.collection, linked.version)


def fetch_from_wandb(address: WandbAddress) -> Bundle:
    """Return a bundle of a registry; a version such as v3 that was brought here before needs no network.

    Raises:
        ArtifactError: no such collection or alias, W&B is out of reach, or what came is no whole bundle.
        ConfigError: there is no key, or W&B refuses it.
    """
    place = _place(address)
    if address.fixed and Bundle.is_at(place):
        return bring_once(place, lambda folder: _download(_found(address), folder))
    artifact = _found(address)
    version = WandbAddress(address.registry, address.collection, artifact.version)
    return bring_once(_place(version), lambda folder: _download(artifact, folder))


def version_of(address: WandbAddress) -> WandbAddress | None:
    """Return the version that an alias points to, or None where nothing does.

    Raises:
        ArtifactError: W&B is out of reach.
        ConfigError: there is no key, or W&B refuses it.
    """
    artifact = _looked_up(address)
    return None if artifact is None else WandbAddress(address.registry, address.collection, artifact.version)


def key_for(address: WandbAddress) -> str:
    """Return a key that W&B takes.

    Raises:
        ArtifactError: W&B is out of reach.
        ConfigError: there is no key, or W&B refuses it.
    """
    key = find_key()
    if key is None:
        raise ConfigError(f"{address} needs a W&B key: set WANDB_API_KEY, or type wandb login")
    try:
        check_access(key)
    except ConnectionError as error:
        raise ArtifactError(f"{address}: {error}; without it, give a version that was used here, such as v3") from error
    return key


def _found(address: WandbAddress) -> Any:
    artifact = _looked_up(address)
    if artifact is None:
        raise ArtifactError(f"{address} is not in W&B: {base_url()}/registry shows which collections and aliases are")
    return artifact


def _looked_up(address: WandbAddress) -> Any:
    key = key_for(address)
    wandb.setup(settings_of(None))  # else it talks
    with _explained(f"{address} was not looked up"):
        api = wandb.Api(overrides={"base_url": base_url()}, api_key=key)
        try:
            return api.artifact(f"{_target(address)}:{address.alias}", type=KIND)
        except wandb.errors.CommError as error:
            if isinstance(error.exc, ValueError) and "not found" in str(error):
                return None
            raise


def _download(artifact: Any, folder: Path) -> None:
    with _explained(f"{artifact.name} did not come"):
        artifact.download(root=str(folder), skip_cache=True)


def _place(address: WandbAddress) -> Path:
    host = "".join(letter if letter.isalnum() else "_" for letter in base_url())
    return place_of("wandb", host, address.registry, address.collection, address.alias)


def _target(address: WandbAddress) -> str:
    target = target_of(f"{address.registry}/{address.collection}")
    assert target is not None
    return target


@contextmanager
def _explained(failure: str) -> Iterator[None]:
    try:
        yield
    except (wandb.errors.Error, ValueError) as error:
        if isinstance(error, MlopsError):
            raise
        raise ArtifactError(f"{failure}: W&B says: {str(error).splitlines()[0]}") from error
