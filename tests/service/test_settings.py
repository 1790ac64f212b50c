"""Settings of the service: where they come from, and what is said of a wrong one."""

import pytest

from mlops_cls.errors import ConfigError
from mlops_cls.service.settings import Settings


def test_a_flag_comes_before_a_variable_and_that_before_the_default() -> None:
    settings = Settings.read({"PORT": "81", "SERVE_QUEUE": "5", "SERVE_BATCH": "2", "HOME": "/"}, {"queue": "6"})
    assert (settings.port, settings.queue, settings.batch, settings.max_files) == (81, 6, 2, 32)


def test_a_mistyped_variable_is_not_ignored() -> None:
    with pytest.raises(ConfigError, match=r"^SERVE_QUEU in the environment is no setting; did you mean 'SERVE_QUEUE'"):
        Settings.read({"SERVE_QUEU": "5"}, {})


def test_variables_that_kubernetes_sets_for_a_service_called_serve_are_no_settings() -> None:
    names = ("SERVE_SERVICE_HOST", "SERVE_PORT", "SERVE_PORT_80_TCP_ADDR")
    assert Settings.read(dict.fromkeys(names, "tcp://10.0.0.1:80"), {}) == Settings()


def test_a_wrong_value_is_named_by_flag_and_variable() -> None:
    with pytest.raises(
        ConfigError, match=r"^--max-bytes \(SERVE_MAX_BYTES\)=many: .*; --collect \(SERVE_COLLECT\)=all: "
    ):
        Settings.read({"SERVE_MAX_BYTES": "many"}, {"collect": "all"})


def test_keys_are_shown_by_no_error_and_no_print() -> None:
    settings = Settings.read({"SERVE_API_KEYS": "secret-1,secret-2"}, {})
    assert "secret" not in f"{settings!r} {settings.model_dump_json()}"
    with pytest.raises(ConfigError) as caught:
        Settings.checked({"api_keys": ["secret"]})
    assert "secret" not in str(caught.value)
