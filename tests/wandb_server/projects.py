"""Who is there: the user, the server's features, projects."""

from wandb_server.state import ENTITY, State, Values, global_id, project_of

VIEWER = {
    "id": global_id("User", ENTITY),
    "entity": ENTITY,
    "username": ENTITY,
    "name": ENTITY,
    "email": "local@localhost",
    "admin": False,
    "flags": "{}",
    "teams": {"edges": [{"node": {"name": ENTITY}}]},
    "apiKeys": {"edges": []},
    "capabilities": [],
}
SERVER = {
    "cliVersionInfo": {"max_cli_version": "99.0.0"},
    "latestLocalVersionInfo": {
        "outOfDate": False,
        "latestVersionString": "0.80.0",
        "versionOnThisInstanceString": "0.80.0",
    },
    "features": [],
    "frontendHost": "",
}


def viewer(_: State, __: Values) -> Values:
    return {"viewer": VIEWER, "serverInfo": SERVER}


def project(_: State, asked: Values) -> Values:
    name = asked.get("name") or asked.get("projectName") or asked.get("project")
    return {"project": project_of(asked.get("entity") or asked.get("entityName") or ENTITY, name)}


def no_organisation(_: State, __: Values) -> Values:
    return {"entity": {"organization": None}}


PROJECTS = {
    "Viewer": viewer,
    "GetViewer": viewer,
    "GetDefaultEntity": viewer,
    "ServerInfo": viewer,
    "ServerFeaturesQuery": viewer,
    "GetProject": project,
    "OrganizationCoreWeaveOrganizationID": no_organisation,
}
