"""A hub on loopback that takes uploads as the real one does: a repository, a preupload, large files by LFS, a
commit. What it answers follows https://huggingface.co/docs/hub/api and the LFS batch API of git-lfs."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Literal

TOKEN = "hf_" + "a" * 34
COMMIT = "c" * 40
LARGE = ".safetensors"
"""What goes by LFS."""

Trouble = Literal["gone", "no right", "cut", "full", "odd"]
"""The repository is deleted in between; the token may only read; the connection breaks within a large file;
the hub is overloaded; the hub answers what is no JSON."""


@dataclass
class Hub:
    """What was uploaded, and what goes wrong."""

    trouble: Trouble | None = None
    private: dict[str, bool] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    """By the SHA-256 in hex."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Of the last commit."""
    summary: str = ""
    url: str = ""

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, Any]:
        """Status and JSON."""
        if method == "PUT":
            self.large[path.rpartition("/")[2]] = body
            return 200, {}
        if token != TOKEN:
            return 401, {"error": "Invalid username or password."}
        match method, path.strip("/").split("/"):
            case "POST", ["api", "repos", "create"]:
                return self._create(json.loads(body))
            case "POST", ["api", "validate-yaml"]:
                return 200, {"errors": [], "warnings": []}
            case _, ["api", "models", owner, name, *_] if self._is_gone(f"{owner}/{name}"):
                return 404, {"error": "Repository not found"}
            case "GET", ["api", "models", owner, name]:
                return 200, {"id": f"{owner}/{name}", "sha": COMMIT, "siblings": []}
            case "POST", ["api", "models", _, _, "preupload", "main"]:
                return self._preupload(json.loads(body))
            case "POST", [_, _, "info", "lfs", "objects", "batch"]:
                return 200, {
                    "transfer": "basic",
                    "objects": [self._place(o) for o in json.loads(body)["objects"]],
                }
            case "POST", ["api", "models", owner, name, "commit", "main"]:
                return self._commit(f"{owner}/{name}", body)
        return 404, {"error": f"nothing at {path}"}

    def _is_gone(self, repository: str) -> bool:
        return self.trouble == "gone" or repository not in self.private

    def _create(self, wanted: dict[str, Any]) -> tuple[int, Any]:
        repository = f"{wanted.get('organization', 'me')}/{wanted['name']}"
        if self.trouble == "no right":
            return 403, {"error": 'You don\'t have the rights to create a model under the namespace "me".'}
        if repository in self.private:
            return 409, {"error": "You already created this model repo", "url": f"{self.url}/{repository}"}
        self.private[repository] = bool(wanted.get("private")) or wanted.get("visibility") == "private"
        return 200, {"url": f"{self.url}/{repository}"}

    def _preupload(self, wanted: dict[str, Any]) -> tuple[int, Any]:
        if self.trouble == "full":
            return 503, {"error": "overloaded"}
        modes = (
            {"path": each["path"], "uploadMode": "lfs" if each["path"].endswith(LARGE) else "regular",
             "shouldIgnore": False}
            for each in wanted["files"]
        )  # fmt: skip
        return 200, {"files": list(modes)}

    def _place(self, wanted: dict[str, Any]) -> dict[str, Any]:
        upload = {"href": f"{self.url}/store/{wanted['oid']}", "header": {}}
        return {**wanted, "actions": {"upload": upload}}

    def _commit(self, repository: str, body: bytes) -> tuple[int, Any]:
        if self.trouble == "odd":
            return 200, None
        for line in body.splitlines():
            match json.loads(line):
                case {"key": "header", "value": {"summary": summary}}:
                    self.summary = summary
                case {"key": "file", "value": {"path": path, "content": content}}:
                    self.files[path] = base64.b64decode(content)
                case {"key": "lfsFile", "value": {"path": path, "oid": oid}}:
                    content = self.large[oid]
                    assert hashlib.sha256(content).hexdigest() == oid
                    self.files[path] = content
        return 200, {
            "success": True,
            "commitOid": COMMIT,
            "commitUrl": f"{self.url}/{repository}/commit/{COMMIT}",
        }


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """The address at which `hub` answers."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            if self.command == "PUT" and hub.trouble == "cut":
                self.rfile.read(min(size, 100))
                self.close_connection = True
                return
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                body = b"".join(self._chunks())
            else:
                body = self.rfile.read(size)
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, content = hub.answer(self.command, self.path.partition("?")[0], token, body)
            answer = b"<html>odd</html>" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            self.wfile.write(answer)

        def _chunks(self) -> Iterator[bytes]:
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()

        do_GET = do_POST = do_PUT = _serve  # noqa: N815  http.server's names

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        answering = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        answering.start()
        try:
            yield hub.url
        finally:
            server.shutdown()
            answering.join()
