"""The settings: the names of the deployment guide, defaults that serve a newcomer, and errors that say what to do."""

import os
from pathlib import Path
from typing import get_args

import pytest

from adapters.settings import Settings, SettingsError, load_settings
from runners.models.manifest import MODES

SECRET = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def complaint() -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings()
    return str(refused.value)


def test_nothing_has_to_be_set() -> None:
    settings = load_settings()

    assert (settings.mode, settings.device, settings.backend_port) == ("embedded", "cpu", 9090)
    assert settings.label_studio_url is None
    assert settings.allowed_image_hosts == ()
    assert settings.effective_log_level == "INFO"


def test_every_setting_is_an_environment_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {
        "BACKEND_PORT": "8080",
        "MODE": "balanced",
        "DEVICE": "cuda:1",
        "BACKEND_TYPE": "onnxruntime",
        "CONFIDENCE_THRESHOLD": "0.5",
        "MODEL_CACHE_DIR": str(tmp_path / "not there yet"),
        "LOG_LEVEL": "warning",
        "LABEL_STUDIO_URL": "http://label-studio:8080/ls",
        "LABEL_STUDIO_API_TOKEN": SECRET,
        "ALLOWED_IMAGE_HOSTS": " minio:9000, *.example.org ,,10.0.0.0/8",
        "LOCAL_FILES_DOCUMENT_ROOT": str(tmp_path),
        "MAX_IMAGE_BYTES": "1000",
        "MAX_IMAGE_PIXELS": "2000",
        "MAX_REQUEST_BYTES": "3000",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    settings = load_settings()

    assert (settings.backend_port, settings.mode, settings.device) == (8080, "balanced", "cuda:1")
    assert settings.confidence_threshold == 0.5
    assert settings.model_cache_dir == tmp_path / "not there yet"
    assert settings.effective_log_level == "WARNING"
    assert settings.allowed_image_hosts == ("minio:9000", "*.example.org", "10.0.0.0/8")
    assert (settings.picture_limits.max_bytes, settings.picture_limits.max_pixels) == (1000, 2000)
    assert settings.max_request_bytes == 3000


def test_what_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(name.upper(), "")

    assert load_settings() == Settings.model_construct()


def test_debug_logs_everything_whatever_the_level_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBUG", "true")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")

    assert load_settings().effective_log_level == "DEBUG"


def test_the_modes_are_those_that_there_are_networks_for() -> None:
    assert set(get_args(Settings.model_fields["mode"].annotation)) == set(MODES)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MODE", "nonsense", "MODE: input should be 'embedded', 'lightweight', 'balanced' or 'performance'"),
        ("BACKEND_PORT", "abc", "BACKEND_PORT: input should be a valid integer"),
        ("BACKEND_PORT", "0", "BACKEND_PORT: input should be greater than or equal to 1"),
        ("BACKEND_PORT", "65536", "BACKEND_PORT: input should be less than or equal to 65535"),
        ("DEVICE", "tpu", "DEVICE: must be cpu, cuda, cuda:N, gpu, gpu:N or mps"),
        ("DEVICE", "cuda:", "DEVICE: must be cpu, cuda, cuda:N, gpu, gpu:N or mps"),
        ("BACKEND_TYPE", "tensorflow", "BACKEND_TYPE: input should be 'auto', 'onnxruntime'"),
        ("CONFIDENCE_THRESHOLD", "30", "CONFIDENCE_THRESHOLD: input should be less than or equal to 1"),
        ("CONFIDENCE_THRESHOLD", "nan", "CONFIDENCE_THRESHOLD: input should be"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("DEBUG", "perhaps", "DEBUG: input should be a valid boolean"),
        ("LABEL_STUDIO_URL", "label-studio:8080", "LABEL_STUDIO_URL is not a web address such as"),
        ("LABEL_STUDIO_URL", "ftp://label-studio", "LABEL_STUDIO_URL is not a web address such as"),
        ("ALLOWED_IMAGE_HOSTS", "minio:port", "ALLOWED_IMAGE_HOSTS: the port in 'minio:port' is not"),
        ("ALLOWED_IMAGE_HOSTS", "a/b", "ALLOWED_IMAGE_HOSTS: 'a/b' is invalid"),
        (
            "LOCAL_FILES_DOCUMENT_ROOT",
            "/not/there",
            "LOCAL_FILES_DOCUMENT_ROOT: path does not point to a dir",
        ),
        ("MAX_IMAGE_BYTES", "0", "MAX_IMAGE_BYTES: input should be greater than"),
        ("MAX_REQUEST_BYTES", "-1", "MAX_REQUEST_BYTES: input should be greater than"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)

    assert complaint().startswith(f"Wrong settings: {said}")


def test_all_wrong_settings_are_named_at_once_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODE", "nonsense")
    monkeypatch.setenv("BACKEND_PORT", "abc")

    said = complaint()

    assert "MODE: " in said
    assert "BACKEND_PORT: " in said
    assert said.count("\n") == 0


@pytest.mark.parametrize("alone", ["BASIC_AUTH_USER", "BASIC_AUTH_PASS"])
def test_half_a_password_protection_is_refused(monkeypatch: pytest.MonkeyPatch, alone: str) -> None:
    monkeypatch.setenv(alone, SECRET)

    said = complaint()

    assert "BASIC_AUTH_USER and BASIC_AUTH_PASS must be set together" in said
    assert SECRET not in said


def test_a_token_needs_a_label_studio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_TOKEN", SECRET)

    said = complaint()

    assert "LABEL_STUDIO_API_TOKEN is of no use without LABEL_STUDIO_URL" in said
    assert SECRET not in said


@pytest.mark.parametrize("token", [f"Token {SECRET}", "  ", "e30.eyJ0b2tlbl90eXBlIjogImFjY2VzcyJ9.c2ln"])
def test_a_token_that_cannot_be_one_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://label-studio:8080")
    monkeypatch.setenv("LABEL_STUDIO_API_TOKEN", token)

    said = complaint()

    assert said.startswith("Wrong settings: LABEL_STUDIO_API_TOKEN is ")
    assert token.strip() not in said or not token.strip()


def test_no_password_is_shown_by_errors_and_representations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASIC_AUTH_USER", "annotator")
    monkeypatch.setenv("BASIC_AUTH_PASS", SECRET)
    monkeypatch.setenv("LABEL_STUDIO_API_TOKEN", SECRET)
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://label-studio:8080")
    assert SECRET not in repr(load_settings())

    monkeypatch.setenv("LABEL_STUDIO_URL", f"http://ann:{SECRET}@label-studio:8080")
    assert SECRET not in complaint()


def test_other_programs_variables_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "MODEL", "x")

    assert load_settings().mode == "embedded"
