"""Runs: begun, resumed, streamed, read."""

import json
import uuid

from wandb_server.state import ENTITY, Run, State, Values, global_id, project_of

STREAMS = {"wandb-history.jsonl": "history", "wandb-events.jsonl": "events"}


def begin(state: State, asked: Values) -> Values:
    """Begin, resume or change a run; the client sends this at the start and again when tags or config change."""
    name = asked.get("name") or uuid.uuid4().hex[:8]
    run = state.runs.setdefault(name, Run(name))
    inserted = run.starts == 0
    run.entity = asked.get("entity") or run.entity
    run.project = asked.get("project") or run.project
    run.display_name = asked.get("displayName") or run.display_name
    run.group, run.tags = asked.get("groupName") or run.group, asked.get("tags") or run.tags
    run.sweep = asked.get("sweep") or run.sweep
    run.config = json.loads(asked.get("config") or "null") or run.config
    run.summary = json.loads(asked.get("summaryMetrics") or "null") or run.summary
    run.state, run.starts = "running", run.starts + (run.state != "running")
    if run.sweep in state.sweeps and name not in state.sweeps[run.sweep].runs:
        state.sweeps[run.sweep].runs.append(name)
    return {"upsertBucket": {"bucket": describe(run), "inserted": inserted}}


def resume(state: State, asked: Values) -> Values:
    """Tell a client that resumes what is here already; a run that a sweep handed out is not begun yet."""
    run = state.runs.get(asked["name"])
    project = project_of(asked.get("entity") or ENTITY, asked["project"])
    return {"model": project | {"bucket": describe(run) if run is not None and run.starts else None}}


def stream(state: State, name: str, sent: Values) -> Values:
    """Take lines of a run; each chunk says at which line it begins, so that one sent twice is kept once."""
    run = state.runs.setdefault(name, Run(name))
    for file, chunk in (sent.get("files") or {}).items():
        lines = [json.loads(line) for line in chunk["content"] if line.strip()] if file.endswith(".jsonl") else []
        if file in STREAMS:
            kept, offset = getattr(run, STREAMS[file]), chunk["offset"]
            kept[offset : offset + len(lines)] = lines
    for chunk in [(sent.get("files") or {}).get("wandb-summary.json")]:
        if chunk:
            run.summary = json.loads(chunk["content"][-1])
    run.preempting = run.preempting or bool(sent.get("preempting"))
    if sent.get("complete"):
        _end(state, run, int(sent["exitcode"]))
    return {"exitcode": None, "limits": {}}


def _end(state: State, run: Run, code: int) -> None:
    run.exit_code = code
    run.state = "finished" if code == 0 else "preempted" if run.preempting else "failed"
    run.preempting = False


def create_files(state: State, asked: Values) -> Values:
    name = asked.get("run") or asked.get("runName")
    files = [{"name": file, "uploadUrl": f"{state.url}/run-file/{name}/{file}"} for file in asked["files"]]
    return {"createRunFiles": {"runID": global_id("Run", name), "uploadHeaders": [], "files": files}}


def store_run_file(state: State, run: str, name: str, content: bytes) -> None:
    state.runs[run].files[name] = content


def read(state: State, asked: Values) -> Values:
    run = state.runs.get(asked.get("name") or asked.get("run"))
    project = project_of(asked.get("entity") or asked.get("entityName") or ENTITY, asked["project"])
    return {"project": project | {"run": describe(run) if run else None}}


def describe(run: Run) -> Values:
    """Return all that any of the client's questions asks of a run."""
    return {
        "id": global_id("Run", run.name, run.project, run.entity),
        "internalId": global_id("Run", run.name),
        "name": run.name,
        "displayName": run.display_name or run.name,
        "description": None,
        "notes": None,
        "config": json.dumps(run.config),
        "wandbConfig": json.dumps({"t": run.config.get("_wandb", {}).get("value", {}).get("t", {})}),
        "summaryMetrics": json.dumps(run.summary),
        "systemMetrics": "{}",
        "historyTail": json.dumps([json.dumps(line) for line in run.history[-1:]]),
        "eventsTail": json.dumps([json.dumps(line) for line in run.events[-1:]]),
        "historyKeys": {"sets": [], "keys": {}, "lastStep": len(run.history) - 1},
        "historyLineCount": len(run.history),
        "eventsLineCount": len(run.events),
        "logLineCount": 0,
        "fileCount": len(run.files),
        "sweepName": run.sweep,
        "project": project_of(run.entity, run.project),
        "projectId": "1",
        "state": run.state,
        "stopped": False,
        "tags": run.tags,
        "group": run.group,
        "jobType": None,
        "commit": None,
        "readOnly": False,
        "createdAt": "2026-01-01T00:00:00",
        "heartbeatAt": "2026-01-01T00:00:00",
        "user": {"name": ENTITY, "username": ENTITY},
    }


RUNS = {
    "UpsertBucket": begin,
    "RunResumeStatus": resume,
    "CreateRunFiles": create_files,
    "Run": read,
    "RunStoppedStatus": lambda state, asked: {"project": {"run": {"stopped": False}}},
    "MarkRunFilesUploaded": lambda state, asked: {"markRunFilesUploaded": {"success": True}},
}
