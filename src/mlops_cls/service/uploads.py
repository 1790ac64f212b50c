"""The pictures of a multipart form, kept in memory and counted as they arrive."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from mlops_cls.service.problems import Refusal
from mlops_cls.service.settings import Settings

FILE = "file"
MEDIA = "multipart/form-data"
MAX_FIELDS, MAX_FIELD_BYTES = 16, 1024
_EXAMPLE = f"curl -F {FILE}=@picture.jpg"


@dataclass(slots=True)
class Form:
    """What a client sent: pictures in their order, what it calls them, and the text of other fields by name.

    The names are for nobody else than the client that gave them, and no path is made of one.
    """

    pictures: list[bytes] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


async def read_form(request: Request, settings: Settings) -> Form:
    """Return the form of a request.

    Raises:
        Refusal: wrong_type, wrong_form, too_large, too_many_files or timeout.
    """
    boundary = _boundary(request)
    _check_length(request, settings)
    form = Form()
    try:
        async with asyncio.timeout(settings.read_seconds):
            await _feed(_Parts(form, settings), boundary, request.stream(), settings)
    except TimeoutError:
        raise too_slow(settings.read_seconds) from None
    except (FormParserError, ClientDisconnect):
        raise Refusal("wrong_form", f"The form is damaged or ends early. Send one such as {_EXAMPLE}") from None
    if not form.pictures:
        raise Refusal("wrong_form", f"There is no picture in the form, in a field named {FILE}: {_EXAMPLE}")
    return form


async def _feed(parts: "_Parts", boundary: bytes, stream: AsyncIterator[bytes], settings: Settings) -> None:
    parser, total = MultipartParser(boundary, parts.callbacks()), 0  # type: ignore[arg-type]
    async for chunk in stream:
        total += len(chunk)
        if total > settings.max_request_bytes:
            raise _too_large(settings)
        parser.write(chunk)
    parser.finalize()


def _boundary(request: Request) -> bytes:
    media, options = parse_options_header(request.headers.get("content-type", ""))
    if media != MEDIA.encode():
        raise Refusal("wrong_type", f"Send the pictures as a form ({MEDIA}), such as {_EXAMPLE}")
    if not options.get(b"boundary"):
        raise Refusal("wrong_form", f"The Content-Type of the form lacks its boundary. Send one such as {_EXAMPLE}")
    return options[b"boundary"]


def _check_length(request: Request, settings: Settings) -> None:
    # Refused before it is read, where the client says how much it is going to send.
    if announced(request.headers) > settings.max_request_bytes:
        raise _too_large(settings)


def announced(headers: Headers) -> int:
    """Return how many bytes a client says that it is going to send; 0 if it does not, or not in digits."""
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() and length.isascii() and len(length) < 20 else 0


def too_slow(seconds: float) -> Refusal:
    """Return why a body that dawdles is waited for no longer; its connection ends, since it would go on."""
    detail = f"The request did not arrive whole in {seconds:g} seconds."
    return Refusal("timeout", detail, headers={"Connection": "close"})


def _too_large(settings: Settings) -> Refusal:
    return Refusal("too_large", f"The request has more than {settings.max_request_bytes} bytes, which is the limit.")


class _Parts:
    """Collects what `MultipartParser` finds, and refuses the first thing that is too much."""

    def __init__(self, form: Form, settings: Settings) -> None:
        self._form, self._settings = form, settings
        self._header = (bytearray(), bytearray())
        self._name, self._filename, self._is_picture, self._content = "", "", False, bytearray()

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._named,
            "on_part_data": self._more,
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._name, self._filename, self._is_picture, self._content = "", "", False, bytearray()

    def _header_end(self) -> None:
        name, value = (bytes(part) for part in self._header)
        self._header = (bytearray(), bytearray())
        if name.lower() == b"content-disposition":
            options = parse_options_header(value)[1]
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
            self._filename = options.get(b"filename", b"").decode("utf-8", "replace")

    def _named(self) -> None:
        self._is_picture = self._name == FILE
        if self._is_picture and len(self._form.pictures) == self._settings.max_files:
            raise Refusal("too_many_files", f"A request may have at most {self._settings.max_files} pictures.")
        if not self._is_picture and len(self._form.fields) == MAX_FIELDS:
            raise Refusal("wrong_form", f"The form has more than {MAX_FIELDS} fields besides the pictures.")

    def _more(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]
        if self._is_picture and len(self._content) > self._settings.max_bytes:
            raise Refusal("too_large", f"A picture has more than {self._settings.max_bytes} bytes, which is the limit.")
        if not self._is_picture and len(self._content) > MAX_FIELD_BYTES:
            raise Refusal("wrong_form", f"Pictures are expected in a field named {FILE}: {_EXAMPLE}")

    def _end(self) -> None:
        if self._is_picture:
            self._form.pictures.append(bytes(self._content))
            self._form.names.append(self._filename)
        elif self._name in self._form.fields:
            raise Refusal("wrong_form", f"{self._name[:100]}: given twice in the form; give it once.")
        else:
            self._form.fields[self._name] = self._content.decode("utf-8", "replace")
