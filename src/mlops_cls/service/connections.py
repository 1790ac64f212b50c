"""uvicorn's connections, with an end to the headers of a request: neither its parser nor uvicorn has one."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mlops_cls.service.lingering import Lingering

MOST = 64 * 1024  # bytes, which is what uvicorn's other parser takes
SECONDS = 15.0
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Connection(HttpToolsProtocol):
    """Ends a connection whose request line and headers are too long, or take too long."""

    _size = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Lingering(transport, self))  # type: ignore[arg-type]
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_are_there()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_headers()

    def on_headers_complete(self) -> None:
        self._headers_are_there()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self.cycle is not None:
            self.cycle.more_body = False  # uvicorn leaves it be where the answer came before
        if self.transport.lingers:  # type: ignore[attr-defined]
            self.transport.end()  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._deadline is None or self.transport.is_closing():
            return
        self._size += len(data)
        if self._size > MOST:
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def _expect_headers(self) -> None:
        self._headers_are_there()
        self._size, self._deadline = 0, self.loop.call_later(SECONDS, self.transport.close)

    def _headers_are_there(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None
