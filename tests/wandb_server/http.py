"""HTTP: GraphQL questions, the stream of a run's lines, and files up and down."""

import base64
import gzip
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from wandb_server.artifacts import store_artifact_file, stored_artifact_file
from wandb_server.runs import store_run_file, stream
from wandb_server.state import State

Answer = Callable[[State, dict[str, Any]], dict[str, Any]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @staticmethod
    def serve(http: ThreadingHTTPServer, state: State, answers: Mapping[str, Answer]) -> None:
        http.state, http.answers = state, answers

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""

    def handle(self) -> None:
        # The client drops its connections when it exits.
        with suppress(ConnectionResetError, BrokenPipeError):
            super().handle()

    def do_POST(self) -> None:
        body = self._body()
        if self._state.gone:  # Connections that are open already would be answered on.
            self.close_connection = True
            return None
        if self.path.startswith("/sdk/otel/"):
            return self._send(200, {})  # the client's own measurements
        if not self._is_authorised():
            return self._send(401, {"errors": [{"message": "permission denied"}]})
        if self.path.startswith("/graphql"):
            return self._send(200, self._graphql(json.loads(body)))
        if found := re.match(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
            with self._state.lock:
                return self._send(200, stream(self._state, found[1], json.loads(body)))
        return self._send(404, {})

    def do_PUT(self) -> None:
        body = self._body()
        kind, owner, name = unquote(self.path).lstrip("/").split("/", 2)
        store = {"run-file": store_run_file, "artifact-file": store_artifact_file}[kind]
        with self._state.lock:
            store(self._state, owner, name, body)
        self._send(200, {})

    def do_GET(self) -> None:
        kind, _, rest = unquote(self.path).lstrip("/").partition("/")
        owner, _, name = rest.partition("/")
        if kind == "run-file" and name in self._state.runs[owner].files:
            return self._send_bytes(200, self._state.runs[owner].files[name])
        if kind == "artifact-file":
            return self._send_bytes(200, stored_artifact_file(self._state, owner, name))
        return self._send(200 if self.path in ("/ready", "/healthz") else 404, {})

    def _graphql(self, request: dict[str, Any]) -> dict[str, Any]:
        query = request.get("query", "")
        found = re.search(r"\b(?:query|mutation)\s+(\w+)", query)
        name = request.get("operationName") or (found[1] if found else "unnamed")
        answer = self.server.answers.get(name)
        with self._state.lock:
            self._state.asked.append(name)
            if name in self._state.forbidden:
                return {"data": None, "errors": [{"message": "permission denied"}]}
            if answer is None:
                self._state.refused.append(name)
                return {"data": None, "errors": [{"message": f"the stand-in does not know {name}"}]}
            try:
                return {"data": answer(self._state, request.get("variables") or {})}
            except LookupError as error:
                return {"data": None, "errors": [{"message": f"{name}: no {error}"}]}

    def _is_authorised(self) -> bool:
        given = self.headers.get("Authorization", "")
        return given == "Basic " + base64.b64encode(f"api:{self._state.key}".encode()).decode()

    @property
    def _state(self) -> State:
        return self.server.state

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(iter(self._chunk, b""))
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        chunk = self.rfile.read(size)
        self.rfile.readline()
        return chunk

    def _send(self, code: int, value: object) -> None:
        self._send_bytes(code, json.dumps(value).encode(), "application/json")

    def _send_bytes(self, code: int, content: bytes, kind: str = "application/octet-stream") -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
