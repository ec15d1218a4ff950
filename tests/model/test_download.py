"""How far a download is, told by the installed huggingface_hub itself, from a hub on loopback."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from huggingface_hub import constants

from swarmd.errors import ModelError
from swarmd.model import Downloaded, Watch
from swarmd.model.hub import fetch_snapshot

COMMIT = "c" * 40
FILES = {"config.json": b"{}" * 500, "model.safetensors": bytes(30_000)}
BYTES = sum(map(len, FILES.values()))
UNREAD = ("consolidated.safetensors", "checkpoint-500/model.safetensors", "onnx/config.json", "figure.png")


class Hub(BaseHTTPRequestHandler):
    """The hub's answers about one model, owner/name."""

    refused: ClassVar[set[tuple[str, str]]] = set()
    """Methods and files."""
    files: ClassVar[dict[str, bytes]] = FILES
    is_gated: ClassVar[bool] = False
    """Whether files are only for people who accepted the terms."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        name = path.partition("/resolve/")[2].partition("/")[2]
        if path.endswith("/revision/gone"):
            self._answer(b"", 404, "RevisionNotFound")
        elif path.startswith("/api/models/owner/name/tree/"):
            entries = [{"type": "file", "path": n, "size": len(b), "oid": "0"} for n, b in self.files.items()]
            self._answer(json.dumps(entries).encode())
        elif path.startswith("/api/models/owner/name"):
            siblings = [{"rfilename": name} for name in self.files]
            self._answer(json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": siblings}).encode())
        elif self.is_gated:
            self._answer(b"Please log in.", 401, "GatedRepo")
        elif name in self.files:
            self._answer(self.files[name], 403 if (self.command, name) in self.refused else 200)
        else:
            self._answer(b"", 404)

    def _answer(self, body: bytes, status: int = 200, error: str | None = None) -> None:
        self.send_response(status)
        if error is not None:
            self.send_header("X-Error-Code", error)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@pytest.mark.usefixtures("hub")
def test_a_download_tells_its_bytes_and_its_end_and_draws_no_bar(capfd: pytest.CaptureFixture[str]) -> None:
    told: list[Downloaded | None] = []
    folder = fetch_snapshot("owner/name", watch=told.append)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert told[-2:] == [Downloaded("owner/name", BYTES, BYTES), None]
    counts = [each.done for each in told if each is not None]
    assert counts == sorted(counts)
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("hub")
def test_only_what_loading_reads_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "files", {**FILES, **dict.fromkeys(UNREAD, b"never read")})
    folder = fetch_snapshot("owner/name")
    assert {str(path.relative_to(folder)) for path in folder.rglob("*")} == set(FILES)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch_snapshot("owner/name") == folder


@pytest.mark.usefixtures("hub")
def test_weights_under_another_name_are_downloaded_if_there_are_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Hub, "files", {"config.json": b"{}", "consolidated.safetensors": b"weights"})
    assert (fetch_snapshot("owner/name") / "consolidated.safetensors").read_bytes() == b"weights"


@pytest.mark.usefixtures("hub")
def test_a_model_in_the_cache_is_no_download() -> None:
    fetch_snapshot("owner/name")
    told: list[Downloaded | None] = []
    fetch_snapshot("owner/name", watch=told.append)
    assert told == [None]


@pytest.mark.usefixtures("hub")
def test_a_download_that_fails_has_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "refused", {("GET", "model.safetensors")})
    told: list[Downloaded | None] = []
    with pytest.raises(ModelError, match=r"^downloading owner/name failed.*--model embedded$"):
        fetch_snapshot("owner/name", watch=told.append)
    assert told[-1] is None


@pytest.mark.usefixtures("hub")
def test_a_revision_that_the_hub_does_not_have_is_named() -> None:
    with pytest.raises(ModelError, match="the hub has no revision gone of owner/name"):
        fetch_snapshot("owner/name", revision="gone")


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("watch", [None, lambda _: None])
def test_a_gated_model_is_said_with_how_to_be_let_in(
    monkeypatch: pytest.MonkeyPatch, watch: Watch | None
) -> None:
    monkeypatch.setattr(Hub, "is_gated", True)
    with pytest.raises(ModelError, match=r"^owner/name is gated: accept its terms on the hub and run .*$"):
        fetch_snapshot("owner/name", watch=watch)


@pytest.fixture
def cut_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a download that was cut before the weights, without the hub. The cache holds no list of
    the model's files: huggingface_hub 1 writes none."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    cached = tmp_path / "models--owner--name"
    folder = cached / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(FILES["config.json"])
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(COMMIT)
    return folder


def test_a_download_that_was_cut_before_the_weights_is_no_copy(cut_download: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be reached for owner/name .* and this disk has no copy"):
        fetch_snapshot("owner/name")
    assert fetch_snapshot("owner/name", ("config.json",)) == cut_download, "all that was asked for is there"


def test_an_adapter_in_the_cache_needs_no_other_weights(cut_download: Path) -> None:
    (cut_download / "adapter_model.safetensors").touch()
    assert fetch_snapshot("owner/name") == cut_download
