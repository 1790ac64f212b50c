"""The api image, from the steps of its Dockerfile: what is in it, that it serves, and that it says so."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from PIL import Image as Picture
from replay import Image

from mlops_cls.bundle import Bundle

SECONDS = 120
MOST = 400e6  # bytes


@contextmanager
def serving(image: Image, folder: Path, **variables: str) -> Iterator[tuple["subprocess.Popen[str]", dict[str, str]]]:
    """Start the image as a container is, on a free port of this machine; its process, and what it was told."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        told = {"PORT": str(free.getsockname()[1]), "SERVE_HOST": "127.0.0.1", "OMP_NUM_THREADS": "1"} | variables
    process = image.start(image.entry, folder, **told)
    try:
        yield process, told
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def ask(told: dict[str, str], path: str, body: bytes | None = None) -> bytes:
    request = Request(f"http://127.0.0.1:{told['PORT']}{path}", data=body)
    if body is not None:
        request.add_header("Content-Type", "multipart/form-data; boundary=edge")
        request.data = (
            b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n%b\r\n--edge--' % body
        )
    with urlopen(request, timeout=SECONDS) as answer:
        return bytes(answer.read())


def wait_until_ready(process: "subprocess.Popen[str]", told: dict[str, str]) -> None:
    until = time.monotonic() + SECONDS
    while True:
        assert process.poll() is None, process.communicate()[0]
        try:
            ask(told, "/ready")
            return
        except URLError:
            assert time.monotonic() < until, "it is not ready"
            time.sleep(0.1)


def end(process: "subprocess.Popen[str]") -> tuple[int, str]:
    said, _ = process.communicate(timeout=SECONDS)
    return process.returncode, said


@pytest.fixture(scope="module")
def digit(tiny_bundle: Bundle) -> bytes:
    written = BytesIO()
    Picture.new("L", (8, 8), 90).save(written, "PNG")
    return written.getvalue()


def test_the_image_has_torch_in_it_or_has_become_large(api_image: Image) -> None:
    environment = Path(api_image.within("/opt/venv"))
    files = [path for path in environment.rglob("*") if not path.is_symlink()]
    packages = {path.name for path in environment.glob("lib/python*/site-packages/*")}
    assert {"mlops_cls", "onnxruntime", "gcsfs"} <= packages
    assert not packages & {"torch", "torchvision", "pytorch_lightning", "timm", "hydra", "wandb", "scipy", "pip", "uv"}
    assert sum(path.stat().st_size for path in files) < MOST


def test_a_bundle_in_a_mounted_folder_is_not_served(
    api_image: Image, tiny_bundle: Bundle, digit: bytes, tmp_path: Path
) -> None:
    variables = {
        "MODEL": str(tiny_bundle.folder),
        "SERVE_COLLECT": "pictures",
        "SERVE_COLLECT_TO": str(tmp_path / "kept"),
    }
    with serving(api_image, tmp_path, **variables) as (process, told):
        wait_until_ready(process, told)
        assert end(api_image.start(api_image.healthcheck, tmp_path, **told))[0] == 0
        answer = json.loads(ask(told, "/predict", digit))
        assert answer["predictions"][0]["label"] in tiny_bundle.card.classes
        assert b"<title>" in ask(told, "/")
        assert b"swagger" in ask(told, "/docs")
        process.send_signal(signal.SIGTERM)
        assert end(process)[0] == 0
        assert end(api_image.start(api_image.healthcheck, tmp_path, **told))[0] == 1
    drift = ["python", "-m", "mlops_cls.drift", str(tiny_bundle.folder), str(tmp_path / "kept"), "--table", "retrain"]
    code, said = end(api_image.start(drift, tmp_path))
    assert (code, "1 of 50" in said) == (4, True), said  # too few to tell
    assert (tmp_path / "drift" / "drift.html").is_file()


def test_a_bundle_in_a_bucket_is_not_served(
    api_image: Image, tiny_bundle: Bundle, digit: bytes, bucket: str, tmp_path: Path
) -> None:
    for file in tiny_bundle.folder.rglob("*"):
        if file.is_file():
            name = quote(f"models/digits/{file.relative_to(tiny_bundle.folder).as_posix()}", safe="")
            upload = Request(
                f"{bucket}/upload/storage/v1/b/pictures/o?uploadType=media&name={name}", data=file.read_bytes()
            )
            with urlopen(upload) as answer:
                assert answer.status == 200
    variables = {"MODEL": "gs://pictures/models/digits", "STORAGE_EMULATOR_HOST": bucket}
    with serving(api_image, tmp_path, **variables) as (process, told):
        wait_until_ready(process, told)
        assert json.loads(ask(told, "/predict", digit))["predictions"][0]["label"] in tiny_bundle.card.classes


def test_a_service_without_a_model_looks_well(api_image: Image, tmp_path: Path) -> None:
    with serving(api_image, tmp_path) as (process, _):
        code, said = end(process)
    assert (code, "which model?" in said) == (2, True), said
