"""The files of the page, read once from the package, with a policy that lets nothing else run or load."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "LICENSE": "text/plain; charset=utf-8",
}

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",  # so that a page never runs with files of a different version
}


async def index(_request: Request) -> Response:
    """Serve the page itself. Its links are relative, so it works behind a path prefix."""
    return _file("index.html")


async def page_file(request: Request) -> Response:
    """Serve a file that the page loads. Only names of files in the folder are known."""
    return _file(request.path_params["name"])


def _file(name: str) -> Response:
    content = _contents().get(name)
    if content is None:
        return PlainTextResponse("no such file\n", status_code=404)
    return Response(content, media_type=TYPES[name.rpartition(".")[2]], headers=HEADERS)


@cache
def _contents() -> dict[str, bytes]:
    folder = files("swarmd.observe").joinpath("page")
    return {
        file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in TYPES
    }
