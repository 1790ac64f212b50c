"""A connection that ends while its client is still sending is closed so that the client gets the answer first."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SECONDS = 2.0


class Lingering:
    """A transport whose `close` waits, for `SECONDS` at most, until the body of an answered request has arrived.

    A socket that is closed with bytes unread tells the client to forget the connection, and with it an answer that was
    on its way: of refusals before 20 MB were read, Python's http.client got none. RFC 9112, section 9.6.
    """

    def __init__(self, transport: asyncio.Transport, protocol: HttpToolsProtocol) -> None:
        self._transport, self._protocol = transport, protocol
        self._end: asyncio.TimerHandle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def lingers(self) -> bool:
        """Whether only the rest of a body is waited for."""
        return self._end is not None

    def close(self) -> None:
        cycle = self._protocol.cycle
        if self.lingers or self._transport.is_closing():
            return
        if cycle is None or not cycle.response_complete or not cycle.more_body:
            self._transport.close()
            return
        self._transport.write_eof()
        self._end = self._protocol.loop.call_later(SECONDS, self._transport.close)

    def end(self) -> None:
        """Close at last."""
        if self._end is not None:
            self._end.cancel()
        self._transport.close()
