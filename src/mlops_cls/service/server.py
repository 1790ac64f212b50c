"""How the service ends: whoever has asked is answered, whoever asks meanwhile is told to go elsewhere."""

import asyncio
import logging
import os
import signal
import socket
from types import FrameType
from typing import Any

import uvicorn

from mlops_cls.errors import Interrupted
from mlops_cls.service.connections import Connection
from mlops_cls.service.engine import Service
from mlops_cls.service.settings import Settings

BACKLOG = 2048
LAME_DUCK = 2.0
"""Most seconds after SIGTERM in which everything is still answered.

A balancer goes on sending until it has noticed, by /ready or by being told: connections that were refused at once would
be requests that fail. Each answer closes its connection, so that no client sends its next request into one that is just
being closed.
"""
HEARD = 1.0
"""Most seconds in which who has just come in may say what he wants, before connections without a request are closed."""
TICK = 0.1
KEEP_ALIVE = 75
"""Seconds for which an idle connection stays: longer than the 60 of balancers such as nginx and ALB, which would send
the next request into one that is just being closed."""

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Ends with 0 after SIGTERM and Ctrl-C, which are how a service is meant to end; a second signal ends it at once.

    After SIGTERM: /ready answers 503 for `LAME_DUCK` seconds while all else goes on; then nobody is let in any more,
    and requests that have begun are finished. All of it takes at most `drain_seconds`.
    """

    def __init__(self, app: Any, service: Service) -> None:
        super().__init__(_config(app, service.settings))
        self._service, self._lame_duck = service, 0.0
        service.on_failure = self.stop

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn raises the signal again when it has finished, for whoever listened before it.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        for listener in sockets or []:
            log.info("listening on %s", _address(listener))
        super().run(sockets)

    def stop(self) -> None:
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(Interrupted.exit_code)
        if sig == signal.SIGTERM:
            self._lame_duck = _lame_duck(self._service.settings)
        self._service.stopping = True
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        await asyncio.sleep(self._lame_duck)
        # Whom the kernel has let in and nobody accepts is cut off. So it is told to let in hardly anybody any more, and
        # sockets are closed right after the loop has looked, all at once.
        for listener in sockets or []:
            listener.listen(0)
        await asyncio.sleep(TICK)
        await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        await self._hear()
        await super().shutdown(sockets)

    async def _hear(self) -> None:
        for _ in range(round(HEARD / TICK)):
            await asyncio.sleep(TICK)
            if all(connection.cycle for connection in self.server_state.connections):  # type: ignore[union-attr]
                return


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _lame_duck(settings: Settings) -> float:
    return min(LAME_DUCK, settings.drain_seconds / 10)


def _config(app: Any, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        host=settings.host,
        port=settings.port,
        log_config=None,  # `logs` has it all
        access_log=False,
        backlog=BACKLOG,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=max(TICK, settings.drain_seconds - _lame_duck(settings) - HEARD - TICK),  # type: ignore[arg-type]
    )
