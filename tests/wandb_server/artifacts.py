"""Artifacts: versions of named collections, their files and aliases, and the registry collections that link to them."""

import json
import uuid
from collections.abc import Iterable
from typing import Any

from wandb_server.state import Artifact, State, Values, global_id, project_of

NONE_LEFT = {"hasNextPage": False, "endCursor": None}


def create(state: State, asked: Values) -> Values:
    """Begin a version; one with the digest of an older one is that older one, which takes over the aliases."""
    sent = asked["input"]
    wanted = [alias["alias"] for alias in sent.get("aliases") or []]
    versions = _versions(state, sent["entityName"], sent["projectName"], sent["artifactCollectionName"])
    found = next((one for one in versions if one.digest == sent["digest"] and one.state == "COMMITTED"), None)
    if found is None:
        found = _begin(state, sent, version=max((one.version for one in versions), default=-1) + 1)
    if run := state.runs.get(sent.get("runName")):
        run.artifacts.append(found.id)
    _give(versions, found, wanted)
    latest = next((one for one in versions if "latest" in one.aliases and one is not found), None)
    sequence = {"id": global_id("Sequence", found.name), "latestArtifact": latest and {"id": latest.id}}
    return {"createArtifact": {"artifact": {"id": found.id, "state": found.state, "artifactSequence": sequence}}}


def _begin(state: State, sent: Values, version: int) -> Artifact:
    artifact = Artifact(
        id=global_id("Artifact", uuid.uuid4().hex[:8]),
        entity=sent["entityName"],
        project=sent["projectName"],
        type=sent["artifactTypeName"],
        name=sent["artifactCollectionName"],
        digest=sent["digest"],
        version=version,
        client_id=sent.get("clientID") or "",
        run=sent.get("runName"),
        metadata=json.loads(sent.get("metadata") or "{}"),
    )
    state.artifacts[artifact.id] = artifact
    return artifact


def _versions(state: State, entity: str, project: str, name: str) -> list[Artifact]:
    wanted = (entity, project, name)
    return [one for one in state.artifacts.values() if (one.entity, one.project, one.name) == wanted]


def _give(versions: Iterable[Artifact], artifact: Artifact, aliases: Iterable[str]) -> None:
    """Move the aliases to this version of the collection."""
    for alias in aliases:
        for one in versions:
            one.aliases = [name for name in one.aliases if name != alias]
        artifact.aliases.append(alias)


def create_manifest(state: State, asked: Values) -> Values:
    return {"createArtifactManifest": {"artifactManifest": _manifest(state, asked["artifactID"])}}


def update_manifest(state: State, asked: Values) -> Values:
    return {"updateArtifactManifest": {"artifactManifest": _manifest(state, asked["artifactManifestID"])}}


def _manifest(state: State, artifact: str) -> Values:
    file = {"id": artifact, "uploadUrl": f"{state.url}/artifact-file/{artifact}/manifest", "uploadHeaders": []}
    return {"id": artifact, "file": file}


def create_files(state: State, asked: Values) -> Values:
    nodes = []
    for spec in asked["input"]["artifactFiles"]:
        url = f"{state.url}/artifact-file/{spec['artifactID']}/{spec['name']}"
        nodes.append(
            {
                "storagePath": f"{spec['artifactID']}/{spec['name']}",
                "uploadUrl": url,
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": spec["artifactID"]},
            }
        )
    return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}


def store_artifact_file(state: State, artifact: str, name: str, content: bytes) -> None:
    if name == "manifest":
        state.artifacts[artifact].manifest = content
    else:
        state.artifacts[artifact].files[name] = content


def stored_artifact_file(state: State, artifact: str, name: str) -> bytes:
    kept = state.artifacts[artifact]
    return kept.manifest if name == "manifest" else kept.files[name]


def commit(state: State, asked: Values) -> Values:
    artifact = state.artifacts[asked["artifactID"]]
    artifact.state = "COMMITTED"
    _give(_versions(state, artifact.entity, artifact.project, artifact.name), artifact, ["latest"])
    return {"commitArtifact": {"artifact": {"id": artifact.id, "digest": artifact.digest}}}


def link(state: State, asked: Values) -> Values:
    """Let a registry collection point to a version; asked by wandb-core flat, by the Python client in an input."""
    sent = asked.get("input", asked)
    wanted = sent.get("artifactId") or sent.get("artifactID")
    client = sent.get("clientId") or sent.get("clientID")
    artifact = next(one for one in state.artifacts.values() if one.id == wanted or (client and one.client_id == client))
    project = sent.get("projectName") or sent.get("artifactPortfolioProjectName")
    place = f"{project}/{sent['artifactPortfolioName']}"
    linked = state.links.setdefault(place, [])
    linked += [] if artifact in linked else [artifact]
    wanted = ["latest", *(alias["alias"] for alias in sent.get("aliases") or [])]
    state.link_aliases.setdefault(place, {}).update(dict.fromkeys(wanted, artifact))
    answer = {"versionIndex": linked.index(artifact), "artifactMembership": _link(state, place, artifact)}
    return {"linkArtifact": answer, "result": answer}


def _link(state: State, place: str, artifact: Artifact) -> Values:
    """Return a version's membership of a registry collection, where it has another number and other aliases."""
    project, _, collection = place.partition("/")
    aliases = [alias for alias, one in state.link_aliases[place].items() if one is artifact]
    portfolio = {"name": collection, "project": project_of(artifact.entity, project)}
    return _membership(artifact) | {
        "versionIndex": state.links[place].index(artifact),
        "aliases": [_alias(artifact, alias) for alias in aliases],
        "artifactCollection": {"__typename": "ArtifactPortfolio"} | portfolio,
    }


def _meant(state: State, entity: str, project: str, collection: str, wanted: str) -> Values | None:
    """Return the membership that an alias or a version's number means, in a registry collection or a sequence."""
    place = f"{project}/{collection}"
    if place in state.links:
        found = _numbered(state.links[place]) | state.link_aliases[place]
        return _link(state, place, found[wanted]) if wanted in found else None
    versions = _versions(state, entity, project, collection)
    return next((_membership(one) for one in versions if wanted in (f"v{one.version}", *one.aliases)), None)


def _numbered(linked: Iterable[Artifact]) -> dict[str, Artifact]:
    return {f"v{number}": one for number, one in enumerate(linked)}


def client_id(state: State, asked: Values) -> Values:
    found = next((one.id for one in state.artifacts.values() if one.client_id == asked["clientID"]), None)
    return {"clientIDMapping": found and {"serverID": found}}


def use(state: State, asked: Values) -> Values:
    return {"useArtifact": {"artifact": {"id": asked["input"]["artifactID"]}}}


def versions(state: State, asked: Values) -> Values:
    """List the versions of a collection, newest first."""
    found = [
        one
        for one in _versions(state, asked["entity"], asked["project"], asked["collection"])
        if one.type == asked["type"] and one.state == "COMMITTED"
    ]
    edges = [{"version": f"v{one.version}", "node": describe(one)} for one in reversed(found)]
    listing = {"totalCount": len(edges), "pageInfo": {"__typename": "PageInfo"} | NONE_LEFT, "edges": edges}
    collection = {"__typename": "ArtifactSequence", "artifacts": listing} if found else None
    return {"project": {"artifactType": {"artifactCollection": collection}}}


def read(state: State, asked: Values) -> Values:
    """Return the version that NAME:ALIAS or NAME:v3 means, in its own collection or in one that links to it."""
    name, _, wanted = asked["name"].partition(":")
    found = _meant(state, asked["entity"], asked["project"], name, wanted)
    return {"project": {"artifactCollectionMembership": found}}


def type_of(state: State, asked: Values) -> Values:
    name = asked["name"].partition(":")[0]
    entity, project = (asked.get(key) or asked[f"{key}Name"] for key in ("entity", "project"))
    found = _versions(state, entity, project, name) or state.links.get(f"{project}/{name}")
    return {"project": {"artifact": {"artifactType": {"name": found[0].type}} if found else None}}


def by_id(state: State, asked: Values) -> Values:
    return {"artifact": describe(state.artifacts[asked["id"]])}


def memberships(state: State, asked: Values) -> Values:
    """List the collections that hold a version: its own, and those that link to it."""
    artifact = state.artifacts[asked["artifactID"]]
    places = [place for place, linked in state.links.items() if artifact in linked]
    nodes = [_membership(artifact), *(_link(state, place, artifact) for place in places)]
    return {"artifact": {"artifactMemberships": {"edges": [{"node": node} for node in nodes]}}}


def delete(state: State, asked: Values) -> Values:
    """Delete a version; as W&B does, one with aliases only when its aliases may go too."""
    artifact = state.artifacts[asked["input"]["artifactID"]]
    if artifact.aliases and not asked["input"].get("deleteAliases"):
        raise LookupError("deletion of a version that has aliases")
    artifact.state, artifact.aliases = "DELETED", []
    return {"result": {"artifact": {"id": artifact.id}}}


def files(state: State, asked: Values) -> Values:
    artifact = state.artifacts[asked["id"]]
    nodes = [
        {"name": entry["name"], "directUrl": f"{state.url}/artifact-file/{artifact.id}/{entry['name']}"}
        for entry in asked["entries"]
    ]
    listing = {"pageInfo": NONE_LEFT, "edges": [{"node": node} for node in nodes]}
    return {"artifact": {"filesByManifestEntries": listing}}


def membership_files(state: State, asked: Values) -> Values:
    """List a version's files, for a download."""
    found = _meant(state, asked["entity"], asked["project"], asked["collection"], asked["alias"])
    artifact = state.artifacts[found["artifact"]["id"]]
    urls = {name: f"{state.url}/artifact-file/{artifact.id}/{name}" for name in artifact.files}
    nodes = [{"node": {"__typename": "File", "name": name, "directUrl": url}} for name, url in urls.items()]
    listing = {"pageInfo": {"__typename": "PageInfo"} | NONE_LEFT, "edges": nodes}
    return {
        "project": {"artifactCollection": {"__typename": "ArtifactSequence", "artifactMembership": {"files": listing}}}
    }


def manifest(state: State, asked: Values) -> Values:
    artifact = asked.get("id") or asked["artifact_id"]
    url = f"{state.url}/artifact-file/{artifact}/manifest"
    return {"artifact": {"currentManifest": {"file": {"directUrl": url}}}}


def organisation(_: State, __: Values) -> Values:
    info = {"name": "local-org", "orgEntity": {"name": "local-org"}}
    return {"entity": {"organization": info, "user": None}}


def describe(artifact: Artifact) -> Values:
    return {
        "__typename": "Artifact",
        "id": artifact.id,
        "artifactSequence": _collection(artifact),
        "versionIndex": artifact.version,
        "artifactType": {"name": artifact.type},
        "description": None,
        "metadata": json.dumps(artifact.metadata),
        "ttlDurationSeconds": -2,
        "ttlIsInherited": True,
        "tags": [],
        "historyStep": None,
        "state": artifact.state,
        "size": sum(map(len, artifact.files.values())),
        "digest": artifact.digest,
        "digestAlgorithm": None,
        "commitHash": artifact.id,
        "fileCount": len(artifact.files),
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": None,
        "aliases": [
            _alias(artifact, alias) | {"artifactCollection": _collection(artifact)} for alias in artifact.aliases
        ],
    }


def _membership(artifact: Artifact) -> Values:
    return {
        "__typename": "ArtifactCollectionMembership",
        "id": artifact.id,
        "versionIndex": artifact.version,
        "createdAt": "2026-01-01T00:00:00Z",
        "aliases": [_alias(artifact, alias) for alias in artifact.aliases],
        "artifactCollection": _collection(artifact),
        "artifact": describe(artifact),
    }


def _alias(artifact: Artifact, alias: str) -> Values:
    return {"__typename": "ArtifactAlias", "id": global_id("Alias", artifact.id, alias), "alias": alias}


def _collection(artifact: Artifact) -> dict[str, Any]:
    project = project_of(artifact.entity, artifact.project)
    return {"__typename": "ArtifactSequence", "name": artifact.name, "project": project}


ARTIFACTS = {
    "CreateArtifact": create,
    "CreateArtifactManifest": create_manifest,
    "UpdateArtifactManifest": update_manifest,
    "CreateArtifactFiles": create_files,
    "CommitArtifact": commit,
    "LinkArtifact": link,
    "UseArtifact": use,
    "ClientIDMapping": client_id,
    "ProjectArtifacts": versions,
    "ArtifactMembershipByName": read,
    "GetArtifactMembershipFileUrls": membership_files,
    "ArtifactType": type_of,
    "ArtifactByID": by_id,
    "FetchLinkedArtifacts": memberships,
    "DeleteArtifact": delete,
    "FetchArtifactManifest": manifest,
    "ArtifactManifest": manifest,
    "ArtifactFileURLsByManifestEntries": files,
    "FetchOrgEntityFromEntity": organisation,
    "FetchOrgInfoFromEntity": organisation,
}
