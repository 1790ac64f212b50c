"""What clients have sent and nobody has answered yet lies in memory; all of it together is bounded."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_cls.service.problems import Refusal


class Holding:
    """Middleware that counts the bytes of all requests on their way, and refuses those that would be too many.

    The queue counts pictures that have arrived; without this, a hundred slow clients could hold a hundred times what
    one request may have before any of them is counted.

    Args:
        app: what answers.
        most: bytes of all requests together.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._most, self._held = app, most, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        mine = 0

        async def counted() -> Message:
            nonlocal mine
            message = await receive()
            size = len(message.get("body", b""))
            if self._held > mine and self._held + size > self._most:  # one alone is limited by what reads it
                detail = "Too much is being sent at the same time. Try again in a moment."
                raise Refusal("busy", detail, headers={"Retry-After": "1"})
            mine, self._held = mine + size, self._held + size
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._held -= mine
