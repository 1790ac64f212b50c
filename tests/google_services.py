"""A stand-in of Google's REST APIs on 127.0.0.1: /SERVICE/… as `google_cloud.api` asks, /v1/… as Vertex AI's client.

Jobs of Vertex AI are checked by the API's own types, and go through the states that a test gives them.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from google.cloud.aiplatform_v1.types import CustomJob
from google.protobuf import json_format

Answer = int | dict[str, Any]
Made = Callable[[dict[str, str], Any], Answer]
"""Makes an answer from the query and the body of a question."""
Answers = dict[str, Answer | list[Answer] | Made]
JOB = "projects/7/locations/europe-west4/customJobs/42"


@dataclass
class Services:
    """What is answered, by ``METHOD /path`` without the question mark and what follows it; all else is a 404.

    An answer that is a number is a refusal of that status. Of a list of answers each is given once, the last for ever;
    one that is a function is made by it.
    """

    answers: Answers
    asked: list[tuple[str, Any]] = field(default_factory=list)
    jobs: list[CustomJob] = field(default_factory=list)
    address: str = ""

    def answer(self, question: str, query: dict[str, str], body: Any) -> tuple[int, dict[str, Any]]:
        self.asked.append((question, body))
        found = self.answers.get(question, 404)
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        elif callable(found):
            found = found(query, body)
        if isinstance(found, int):
            return found, {"error": {"code": found, "message": f"refused with {found}", "status": "REFUSED"}}
        if question == "POST /v1/projects/lab/locations/europe-west4/customJobs":
            job = CustomJob()
            json_format.ParseDict(body, CustomJob.pb(job))
            self.jobs.append(job)
        return 200, found


@contextmanager
def google_services(answers: Mapping[str, Answer | list[Answer] | Made]) -> Iterator[Services]:
    """Serve the answers; MLOPS_CLS_GOOGLE is to be set to the address."""
    services = Services(dict(answers))

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing on the screen."""

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            content = self.rfile.read(length)
            body = json.loads(content) if self.headers.get_content_type() == "application/json" and length else content
            path, _, query = self.path.partition("?")
            status, answer = services.answer(f"{self.command} {path}", dict(parse_qsl(query)), body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = _serve  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    services.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield services
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
