"""Uploads by the installed huggingface_hub itself, to a hub on loopback."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.utils import _http

from swarmd.errors import ModelError
from swarmd.model.publishing import publish
from tests.model.fake_hub import TOKEN, Hub, serving

FILES = {"config.json": b"{}", "README.md": b"---\nlicense: mit\n---\n", "model.safetensors": bytes(30_000)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # xet's store is a service of its own
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=lambda _: None))  # between retries
    with serving(hub) as url:
        monkeypatch.setattr(constants, "ENDPOINT", url)
        yield hub


def upload(folder: Path, private: bool = False) -> str:
    return publish(folder, "me/mine", private=private, message="swarmd: step 4")


def test_each_file_arrives_as_it_is_in_one_commit(hub: Hub, folder: Path) -> None:
    assert upload(folder, private=True) == f"{hub.url}/me/mine"
    assert hub.private == {"me/mine": True}
    assert hub.files == FILES
    assert hub.summary == "swarmd: step 4"


def test_a_second_upload_goes_into_the_same_repository(hub: Hub, folder: Path) -> None:
    upload(folder)
    (folder / "config.json").write_bytes(b'{"a": 1}')
    upload(folder, private=True)
    assert hub.private == {"me/mine": False}
    assert hub.files["config.json"] == b'{"a": 1}'


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("no right", "403 Forbidden"),
        ("gone", "404 Client Error"),
        ("full", "503 Service Unavailable"),
        ("cut", "disconnected"),
        ("odd", "Expecting value"),
    ],
)
def test_what_fails_is_one_line_that_says_how_to_go_on(hub: Hub, folder: Path, trouble, said: str) -> None:
    hub.trouble = trouble
    with pytest.raises(ModelError, match=said) as raised:
        upload(folder)
    require_remedy(raised.value, folder)
    assert hub.files == {}


def test_a_token_that_the_hub_refuses(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "b" * 34)
    with pytest.raises(ModelError, match="401") as raised:
        upload(folder)
    require_remedy(raised.value, folder)
    assert "hf_bbb" not in str(raised.value)


def test_a_hub_that_nobody_answers_for(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening: refused
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ModelError, match="Connection refused") as raised:
            upload(folder)
    require_remedy(raised.value, folder)


def test_the_store_for_large_files_fails(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    pytest.importorskip("hf_xet")
    with pytest.raises(ModelError) as raised:  # this hub knows no xet
        upload(folder)
    require_remedy(raised.value, folder)


@pytest.mark.parametrize("bug", [TypeError, AssertionError, AttributeError])
def test_a_bug_is_not_the_hub_s_refusal(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch, bug) -> None:
    def fail(*_: object, **__: object) -> None:
        raise bug

    monkeypatch.setattr(HfApi, "upload_folder", fail)
    with pytest.raises(bug):
        upload(folder)


def require_remedy(error: ModelError, folder: Path) -> None:
    text = str(error)
    assert re.match(r"the hub did not accept me/mine \(.+\)\. The model in ", text)
    assert text.endswith(f"`hf upload me/mine {folder}`")
    assert "\n" not in text
    assert {path.name for path in folder.iterdir()} == set(FILES)
