"""Back ends: each answers as onnxruntime does, whatever the size of the batch and however many ask."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mlops_cls.backends import with_openvino
from mlops_cls.backends.base import _quota, cores
from mlops_cls.backends.choice import open_backend
from mlops_cls.backends.fastest import TOLERANCE, example_pictures
from mlops_cls.backends.kinds import KINDS
from mlops_cls.bundle import Bundle
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.pictures import Pixels

EXACT = [name for name, kind in KINDS.items() if kind.precision is None and not kind.int8]


def pictures(bundle: Bundle, number: int) -> Pixels:
    return example_pictures(bundle.card.preprocess.size, bundle.card.preprocess.channels, number)


@pytest.mark.parametrize("name", EXACT)
def test_a_back_end_answers_any_number_of_pictures(name: str, tiny_bundle: Bundle) -> None:
    backend, images = open_backend(tiny_bundle, name), pictures(tiny_bundle, 17)
    probabilities, embedding = open_backend(tiny_bundle).embed(images)
    for number in (1, 3, 17):
        found = backend.embed(images[:number])
        np.testing.assert_allclose(found[0], probabilities[:number], atol=1e-5)
        np.testing.assert_allclose(found[1], embedding[:number], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(backend(images), probabilities, atol=1e-5)


def test_bf16_is_near(tiny_bundle: Bundle) -> None:
    images = pictures(tiny_bundle, 8)
    near = open_backend(tiny_bundle, "openvino-bf16")(images)
    assert np.abs(near - open_backend(tiny_bundle)(images)).max() < TOLERANCE


def test_pictures_need_not_lie_in_one_piece(tiny_bundle: Bundle) -> None:
    images = pictures(tiny_bundle, 4)
    scattered = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for name in EXACT:
        backend = open_backend(tiny_bundle, name)
        np.testing.assert_array_equal(backend(scattered), backend(images))


@pytest.mark.parametrize("name", EXACT)
def test_threads_that_ask_at_once_get_their_own_answers(name: str, tiny_bundle: Bundle) -> None:
    backend, images = open_backend(tiny_bundle, name, threads=1), pictures(tiny_bundle, 24)
    expected = [backend(images[i : i + 1]) for i in range(24)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda i: backend(images[i % 24 : i % 24 + 1]), range(240)))
    for i, answer in enumerate(found):
        np.testing.assert_allclose(answer, expected[i % 24], atol=1e-6)


def test_what_was_answered_stays_when_more_is_asked(tiny_bundle: Bundle) -> None:
    images = pictures(tiny_bundle, 2)
    for name in EXACT:
        backend = open_backend(tiny_bundle, name)
        first = backend(images[:1])
        kept = first.copy()
        backend(images[1:])
        np.testing.assert_array_equal(first, kept)


def test_an_unknown_back_end_is_refused_with_the_nearest_name(tiny_bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match=r"backend=openvine is not known; did you mean 'openvino'"):
        open_backend(tiny_bundle, "openvine")


def test_a_bundle_without_8_bits_says_how_to_make_them(tiny_bundle: Bundle) -> None:
    with pytest.raises(ArtifactError, match=r"no model\.int8\.onnx; .*export RUN --int8"):
        open_backend(tiny_bundle, "onnxruntime-int8")


def test_a_missing_library_says_what_to_install(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(with_openvino, "_core", with_openvino._core.__wrapped__)  # nothing of it was kept
    with pytest.raises(ConfigError, match=r"pip install 'mlops-cls\[openvino\]'"):
        open_backend(tiny_bundle, "openvino")


# A signal that is handled, after OpenVINO was started in this thread and its last model let go in another one.
LET_GO = """
import gc, os, signal, sys, threading
import mlops_cls as mc

signal.signal(signal.SIGTERM, lambda *_: print("heard"))
kept = [mc.Predictor.load(sys.argv[1], backend="openvino")]
thread = threading.Thread(target=lambda: (kept.clear(), gc.collect()))
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_signal_ends_a_process_in_which_openvino_has_been(tiny_bundle: Bundle) -> None:
    done = subprocess.run([sys.executable, "-c", LET_GO, str(tiny_bundle.folder)], capture_output=True, check=False)
    assert (done.stdout, done.returncode) == (b"heard\n", 0)


def test_openvino_tells_nobody_that_it_was_imported(tiny_bundle: Bundle) -> None:
    open_backend(tiny_bundle, "openvino")
    assert "openvino_telemetry" not in sys.modules


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 1),
        ({"cpu.max": "400000 100000\n"}, 4),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_container_is_found(files: dict[str, str], expected: int | None, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert _quota(tmp_path) == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_no_more_threads_than_the_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert 1 <= cores() <= len(allowed)
