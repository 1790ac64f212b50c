"""Whatever is sent in place of a form with pictures is refused in words, and nothing of it is kept or believed."""

import io
import json
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from mlops_cls.service.logs import saying

Serve = Callable[..., AbstractContextManager[TestClient]]
FORM = {"Content-Type": "multipart/form-data; boundary=B"}


def field(name: str) -> bytes:
    return f'Content-Disposition: form-data; name="{name}"; filename="a.png"'.encode()


def part(content: bytes = b"x", head: bytes = field("file")) -> bytes:
    return b"--B\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


END = b"--B--\r\n"


@pytest.fixture(scope="module")
def small(serve: Serve) -> Iterator[TestClient]:
    """Return a client to a service that takes little."""
    with serve(max_bytes="5000", max_request_bytes="20000", max_files="3", max_pixels="10000") as client:
        yield client


def refused(client: TestClient, status: int, code: str, **request: Any) -> str:
    response = client.post(request.pop("path", "/predict"), **request)
    problem = response.json()
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json"), problem
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == response.headers["x-request-id"]
    detail: str = problem["detail"]
    assert len(detail) <= 600
    return detail


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
@pytest.mark.parametrize(
    ("media", "content"),
    [
        ("application/json", b'{"file": "aGk="}'),
        ("image/png", b"\x89PNG\r\n\x1a\n"),
        ("application/x-www-form-urlencoded", b"file=x"),
        ("multipart/mixed; boundary=B", part() + END),
        ("multipart/form-data-not", part() + END),
        (None, part() + END),
        ("\xff", b""),
    ],
)
def test_another_type_is_taken_for_a_form(small: TestClient, path: str, media: str | None, content: bytes) -> None:
    headers = {} if media is None else {"Content-Type": media.encode("latin-1")}
    said = refused(small, 415, "wrong_type", path=path, content=content, headers=headers)
    assert "curl -F file=@picture.jpg" in said


HUGE = b'Content-Disposition: form-data; name="file"; filename="' + b"n" * 9000 + b'"'
NESTED = b"--C\r\n" + part() + b"--C--"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no parts",
        END,
        b"--B",
        b"--B\r\n",
        part()[:30],
        part() + b"--B",
        b"--C\r\n" + part()[5:] + b"--C--\r\n",
        part(b"", b""),
        part(b"x", b"Content-Disposition"),
        part(b"x", b": nothing"),
        part(b"x", HUGE),
        part(b"x", b"\r\n".join(b"X-%d: y" % number for number in range(50))),
        part(b"x", field("fi\0le")),
        part(b"x", field("")),
        part(NESTED, b"Content-Type: multipart/mixed; boundary=C"),
        part(b"x" * 4000, field("picture")),
        b"".join(part(b"1", field(f"{number}")) for number in range(200)) + END,
        part(b"1", field("top")) * 200 + part() + END,
        part(b"1", field("n" * 3000)) + part() + END,
    ],
    ids=range(20),
)
def test_a_form_that_is_none_is_guessed_at(small: TestClient, content: bytes) -> None:
    refused(small, 422, "wrong_form", content=content, headers=FORM)


@pytest.mark.parametrize("boundary", ["", "; boundary=", '; boundary=""', "; boundary=" + "b" * 1000, "; x=y"])
def test_a_form_without_a_boundary_is_guessed_at(small: TestClient, boundary: str) -> None:
    headers = {"Content-Type": f"multipart/form-data{boundary}"}
    refused(small, 422, "wrong_form", content=part() + END, headers=headers)


def test_a_field_of_another_name_is_not_told_the_right_one(small: TestClient, sample: Path) -> None:
    for name in ("image", "picture", "files", "FILE", "file[]"):
        said = refused(small, 422, "wrong_form", files={name: sample.read_bytes()})
        assert "in a field named file" in said


def test_more_than_is_allowed_is_taken_in(small: TestClient, sample: Path) -> None:
    picture = ("file", sample.read_bytes())
    assert "at most 3 pictures" in refused(small, 413, "too_many_files", files=[picture] * 4)
    assert "more than 5000 bytes" in refused(small, 413, "too_large", files={"file": b"x" * 5001})
    whole = b"".join(part(b"x" * 4900) for _ in range(3)) + part(
        b"x" * 6000, b'Content-Disposition: form-data; name="x"'
    )
    for content in (part(b"x" * 20001), iter([part(b"x" * 4000)] * 3 + [b"x" * 9999]), whole):
        assert "bytes, which is the limit" in refused(small, 413, "too_large", content=content, headers=FORM)
    file = io.BytesIO()
    Image.new("1", (101, 100)).save(file, "PNG")
    assert "more than 10000 pixels" in refused(small, 413, "too_many_pixels", files={"file": file.getvalue()})


@pytest.mark.parametrize("top", ["0", "-1", "1.5", "one", "", " ", "NaN", "1e3", "0x1"])
@pytest.mark.parametrize("where", ["params", "data"])
def test_a_top_that_is_none_is_taken(small: TestClient, sample: Path, top: str, where: str) -> None:
    said = refused(small, 422, "wrong_form", files={"file": sample.read_bytes()}, **{where: {"top": top}})
    assert said.startswith("top: ")


@pytest.mark.parametrize("threshold", ["-0.1", "1.1", "nan", "inf", "-inf", "1e999", "half", ""])
@pytest.mark.parametrize("where", ["params", "data"])
def test_a_threshold_that_is_none_is_taken(small: TestClient, sample: Path, threshold: str, where: str) -> None:
    said = refused(small, 422, "wrong_form", files={"file": sample.read_bytes()}, **{where: {"threshold": threshold}})
    assert said.startswith("threshold: ")


def test_one_of_two_values_is_chosen_for_the_client(small: TestClient, sample: Path) -> None:
    picture = {"file": sample.read_bytes()}
    assert "top: given 2 times" in refused(small, 422, "wrong_form", files=picture, path="/predict?top=1&top=2")
    assert "top: given twice" in refused(small, 422, "wrong_form", files=picture, data={"top": ["1", "2"]})
    both = refused(small, 422, "wrong_form", files=picture, data={"top": "1"}, params={"top": "1"})
    assert "top: given in the query and in the form" in both


def test_a_name_of_a_file_is_read_as_a_path_or_told(small: TestClient, sample: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(sample.read_bytes())
    for name in (f"{secret}", "../../etc/passwd", "file:///etc/passwd", "a\0.png", "https://example.org/a.png"):
        said = refused(small, 400, "not_a_picture", files={"file": (name, b"no picture", "image/png")})
        assert said == "The picture cannot be used: not a picture."
    assert small.post("/predict", files={"file": ("x.svg", sample.read_bytes(), "image/svg+xml")}).status_code == 200


def test_an_upload_is_written_to_the_disk(
    small: TestClient, sample: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert small.post("/predict", files=[("file", sample.read_bytes())] * 3).status_code == 200
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "path", ["/nothing", "/predict/nothing", "/../../etc/passwd", "/page/..%2f..%2fapp.py", "/%00", "/ä"]
)
def test_a_path_that_is_none_shows_something(small: TestClient, path: str) -> None:
    response = small.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/predict"), ("DELETE", "/predict"), ("POST", "/health"), ("PATCH", "/")]
)
def test_another_method_is_taken(small: TestClient, method: str, path: str) -> None:
    response = small.request(method, path)
    assert (response.status_code, response.json()["code"]) == (405, "not_allowed")
    assert response.headers["allow"]


def test_the_description_lacks_what_can_be_answered(serve: Serve) -> None:
    with serve(api_keys="k", rate="100") as client:
        schema = client.get("/openapi.json").json()
    assert {tag["name"] for tag in schema["tags"]} >= {"predict", "samples", "state"}
    predict = schema["paths"]["/predict"]["post"]
    assert {*predict["responses"]} >= {*["200", "400", "401", "403", "408", "413", "415", "422", "429", "500", "503"]}
    assert predict["security"] == [{"key": []}, {"bearer": []}]
    health = schema["paths"]["/health"]["get"]
    assert "security" not in health and not {"401", "429"} & {*health["responses"]}
    operations = [each for path in schema["paths"].values() for each in path.values()]
    assert all(each["summary"] and each["description"] and each["tags"] for each in operations)


def test_what_is_wrong_with_a_clients_bytes_wakes_who_watches_for_errors(
    small: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = ((256, 4, 8), (257, 4, 8), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 65535))
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries))
    tiff += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries) + b"\0" * 99
    with saying("json", {}):
        refused(small, 400, "not_a_picture", files={"file": tiff})  # Pillow logs it as an error
        refused(small, 422, "wrong_form", content=part(b"x", b": nothing"), headers=FORM)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {line["severity"] for line in lines} == {"INFO"}
    assert {line["logger"].partition(".")[0] for line in lines} == {"mlops_cls"}
