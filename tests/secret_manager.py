"""A stand-in of Google Secret Manager's REST API on 127.0.0.1."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def secret_manager(secrets: dict[str, str | int]) -> Iterator[str]:
    """Serve ``projects/P/secrets/S/versions/V`` and return host:port; a number in place of a text is its status."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing on the screen."""

        def do_GET(self) -> None:
            name = self.path.removeprefix("/v1/").removesuffix(":access")
            found = secrets.get(name, 404)
            if isinstance(found, int):
                body = {"error": {"code": found, "message": "refused"}}
            else:
                body = {"name": name, "payload": {"data": base64.b64encode(found.encode()).decode()}}
            content = json.dumps(body).encode()
            self.send_response(found if isinstance(found, int) else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
