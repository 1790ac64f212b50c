"""Models travel through a Google bucket: what comes is what lies there now, whole, and comes once."""

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

import gcsfs
import pytest

from mlops_cls import bucket as bucket_module
from mlops_cls import evaluate, predict
from mlops_cls.bundle import CARD, MODEL, Bundle, digest
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.predictor import Predictor
from mlops_cls.publishing.address import GsAddress
from mlops_cls.publishing.fetch import fetch

DIGITS = GsAddress("pictures", "models/digits")


@pytest.fixture
def storage(bucket: str, monkeypatch: pytest.MonkeyPatch) -> gcsfs.GCSFileSystem:
    """Return the emulator as gcsfs sees it; its bucket is `pictures`."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket)
    return bucket_module.open_buckets("this test")


def put(bucket: str, folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            name = quote(f"{DIGITS.folder}/{file.relative_to(folder).as_posix()}", safe="")
            upload = f"{bucket}/upload/storage/v1/b/{DIGITS.bucket}/o?uploadType=media&name={name}"
            with urlopen(Request(upload, data=file.read_bytes())) as answer:
                assert answer.status == 200


def test_a_model_in_a_bucket_comes_twice_or_is_not_the_one_that_lies_there_now(
    bucket: str,
    storage: gcsfs.GCSFileSystem,
    tiny_bundle: Bundle,
    better: Bundle,
    own_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    put(bucket, tiny_bundle.folder)
    assert Predictor.load("gs://pictures/models/digits/").card == tiny_bundle.card
    (kept,) = own_cache.glob("gs/[!.]*")
    assert {file.name for file in kept.rglob("*")} == {file.name for file in tiny_bundle.folder.rglob("*")}

    storage.rm(f"{DIGITS}/{MODEL}")
    predict.main(["gs://pictures/models/digits", str(tiny_bundle.samples[0]["file"])])
    assert tiny_bundle.samples[0]["label"] in capsys.readouterr().out

    put(bucket, better.folder)
    assert digest(fetch(DIGITS).outputs) == digest(better.outputs)
    evaluate.main(["gs://pictures/models/digits", "--against", str(tiny_bundle.folder)])
    assert "written to gs_pictures_models_digits_evaluation/test" in capsys.readouterr().out


def test_half_a_model_in_a_bucket_is_used_or_kept(
    bucket: str, storage: gcsfs.GCSFileSystem, tiny_bundle: Bundle, own_cache: Path, tmp_path: Path
) -> None:
    put(bucket, tiny_bundle.folder)
    storage.pipe(f"{DIGITS}/{MODEL}", b"damaged")
    with pytest.raises(ArtifactError, match=r"missing or damaged: model\.onnx"):
        fetch(DIGITS)
    storage.rm(f"{DIGITS}/{MODEL}")
    with pytest.raises(ArtifactError, match=r"gs://pictures/models/digits holds no whole bundle: card\.json or a file"):
        fetch(DIGITS)
    assert [*own_cache.glob("gs/[!.]*")] == []

    damaged = Path(shutil.copytree(tiny_bundle.folder, tmp_path / "outside"))
    card = json.loads((damaged / CARD).read_text())
    card["export"]["files"]["../../secret"] = "00"
    storage.pipe(f"{DIGITS}/{CARD}", json.dumps(card).encode())
    with pytest.raises(ArtifactError, match=r"names a file outside of its folder: '\.\./\.\./secret'"):
        fetch(DIGITS)
    for content in (b"", b"[]", b"{}", b'{"format": 2}'):
        storage.pipe(f"{DIGITS}/{CARD}", content)
        with pytest.raises(ArtifactError, match=r"digits/card\.json is no card of a bundle: "):
            fetch(DIGITS)


def test_a_bucket_that_is_not_there_is_a_traceback(
    storage: gcsfs.GCSFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ArtifactError, match=r"there is no bucket nobodys, or you may not see it \(gcloud auth"):
        fetch(GsAddress("nobodys", "digits"))
    with pytest.raises(ArtifactError, match=r"holds no whole bundle.*gcloud storage ls gs://pictures/ shows"):
        fetch(GsAddress("pictures", "nothing"))
    monkeypatch.setattr(bucket_module, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r'gs://pictures/models/digits needs gcsfs: pip install "mlops-cls\[gs\]"'):
        Predictor.load("gs://pictures/models/digits")


class _Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        said = json.dumps({"error": {"code": 401, "message": "Anonymous caller does not have storage.objects.get"}})
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    """Return the address of a storage that lets nobody read."""
    with HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_missing_credentials_are_a_traceback(
    refusing: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", refusing)
    with pytest.raises(
        ArtifactError, match=r"cannot be read \(Anonymous caller .*may you read it\? gcloud auth"
    ) as refused:
        fetch(DIGITS)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr().err == ""
