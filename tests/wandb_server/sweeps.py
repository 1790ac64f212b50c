"""Sweeps: made, changed, and handed out run by run to agents."""

import itertools
import json
import math
import uuid
from collections.abc import Mapping
from typing import Any

import yaml

from wandb_server.state import ENTITY, Run, State, Sweep, Values, global_id, project_of


def upsert(state: State, asked: Values) -> Values:
    sweep = next((one for one in state.sweeps.values() if _id(one) == asked.get("id")), None)
    if sweep is None:
        name, entity, project = uuid.uuid4().hex[:8], asked.get("entityName"), asked.get("projectName")
        sweep = Sweep(name, entity or ENTITY, project or "uncategorized", asked["config"])
        state.sweeps[name] = sweep
    sweep.state = asked.get("state") or sweep.state
    return {"upsertSweep": {"sweep": _describe(state, sweep), "configValidationWarnings": []}}


def read(state: State, asked: Values) -> Values:
    sweep = state.sweeps.get(asked.get("sweep") or asked.get("name"))
    return {"project": {"sweep": sweep and _describe(state, sweep)}}


def create_agent(state: State, asked: Values) -> Values:
    sweep, name = state.sweeps[asked["sweep"]], global_id("Agent", uuid.uuid4().hex[:8])
    state.agents[name] = sweep.name
    sweep.state = "RUNNING" if sweep.state == "PENDING" else sweep.state
    return {"createAgent": {"agent": {"id": name}}}


def heartbeat(state: State, asked: Values) -> Values:
    """Tell an agent what to do: run this, stop that, exit, or nothing."""
    sweep, live = state.sweeps[state.agents[asked["id"]]], json.loads(asked.get("runState") or "{}")
    commands: list[Values] = []
    if live:
        commands = [{"type": "stop", "run_id": name} for name in live] if sweep.state == "CANCELED" else []
    elif sweep.state == "RUNNING":
        run = _next(state, sweep)
        program = yaml.safe_load(sweep.config).get("program")
        commands = (
            [{"type": "run", "run_id": run.name, "program": program, "args": sweep.given[run.name]}] if run else []
        )
    if not live and sweep.state in ("CANCELED", "FINISHED", "STOPPED"):
        commands = [{"type": "exit"}]
    return {"agentHeartbeat": {"agent": {"id": asked["id"]}, "commands": json.dumps(commands)}}


def _next(state: State, sweep: Sweep) -> Run | None:
    """Return a preempted run again, else a new one; None, and the sweep is finished, when there are no more."""
    for name in sweep.runs:
        if state.runs[name].state == "preempted":
            state.runs[name].state = "pending"
            return state.runs[name]
    config = yaml.safe_load(sweep.config)
    values = draw(state, config, len(sweep.given))
    if values is None or len(sweep.given) >= config.get("run_cap", math.inf):
        sweep.state = "FINISHED"
        return None
    drawn = {key: {"value": value} for key, value in values.items()}
    run = Run(uuid.uuid4().hex[:8], sweep.entity, sweep.project, sweep=sweep.name, config=drawn)
    state.runs[run.name], sweep.given[run.name] = run, drawn
    sweep.runs.append(run.name)
    return run


def draw(state: State, config: Mapping[str, Any], number: int) -> Values | None:
    """Return the values of run `number`, or None when a grid is used up; bayes draws as random does."""
    parameters: dict[str, Values] = config.get("parameters", {})
    if config["method"] != "grid":
        return {name: _draw(state, parameter) for name, parameter in parameters.items()}
    choices = [parameter.get("values") or [parameter["value"]] for parameter in parameters.values()]
    grid = list(itertools.product(*choices))
    return dict(zip(parameters, grid[number], strict=True)) if number < len(grid) else None


def _draw(state: State, parameter: Values) -> Any:
    if "value" in parameter:
        return parameter["value"]
    if "values" in parameter:
        return state.random.choices(parameter["values"], parameter.get("probabilities"))[0]
    low, high = parameter["min"], parameter["max"]
    whole = isinstance(low, int) and isinstance(high, int)
    name, step = parameter.get("distribution", "int_uniform" if whole else "uniform"), parameter.get("q", 1)
    uniform = state.random.uniform
    return {
        "uniform": lambda: uniform(low, high),
        "int_uniform": lambda: state.random.randint(low, high),
        "q_uniform": lambda: round(uniform(low, high) / step) * step,
        "log_uniform": lambda: math.exp(uniform(low, high)),
        "log_uniform_values": lambda: math.exp(uniform(math.log(low), math.log(high))),
        "q_log_uniform_values": lambda: round(math.exp(uniform(math.log(low), math.log(high))) / step) * step,
    }[name]()


def _id(sweep: Sweep) -> str:
    return global_id("Sweep", sweep.name, sweep.project, sweep.entity)


def _describe(state: State, sweep: Sweep) -> Values:
    runs = [state.runs[name] for name in sweep.runs]
    return {
        "id": _id(sweep),
        "name": sweep.name,
        "displayName": None,
        "description": None,
        "project": project_of(sweep.entity, sweep.project),
        "state": sweep.state,
        "config": sweep.config,
        "method": yaml.safe_load(sweep.config)["method"],
        "createdAt": "2026-01-01T00:00:00",
        "heartbeatAt": None,
        "updatedAt": None,
        "earlyStopJobRunning": False,
        "bestLoss": None,
        "controller": None,
        "scheduler": None,
        "order": None,
        "priorRuns": None,
        "runCount": len(runs),
        "runCountExpected": None,
        "runs": {"edges": [{"node": _run(run)} for run in runs], "pageInfo": {"hasNextPage": False, "endCursor": None}},
    }


def _run(run: Run) -> Values:
    return {
        "name": run.name,
        "state": run.state,
        "config": json.dumps(run.config),
        "exitcode": run.exit_code,
        "heartbeatAt": None,
        "shouldStop": False,
        "failed": run.state == "failed",
        "stopped": False,
        "running": run.state == "running",
        "summaryMetrics": json.dumps(run.summary),
        "sampledHistory": [[]],
    }


SWEEPS = {
    "UpsertSweep": upsert,
    "SweepWithRuns": read,
    "GetSweepState": read,
    "GetSweep": read,
    "GetSweepLegacy": read,
    "CreateAgent": create_agent,
    "Heartbeat": heartbeat,
}
