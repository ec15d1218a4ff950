"""The routes of `swarmd play` and of the page's section of that name.

POST /play/question {"without": [...]}                  a question that peers fail
POST /play/attempt  {"question": ..., "turns": [...]}    what an attempt is worth
POST /play/finish   {"question": ..., "attempts": [[...]], "name": ...}
GET  /play/answers                                       what became of the answers

These write in the peer's name, and a page open in any browser can send requests to a loopback port. A POST
must therefore have the content type application/json, which a page of another origin can only send if this
server allows it, and it allows none. An Origin other than this page's own is refused too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from swarmd.errors import ConfigError, SwarmdError
from swarmd.observe.client import PLAY_ANSWER_S
from swarmd.observe.connections import may_take
from swarmd.observe.play import Play
from swarmd.observe.snapshot import Starting, StatusSnapshot

PLAY_BYTES_MAX = 262_144  # JSON of 48 KiB of text, the desk's bound, can take six bytes for each
ITEMS_MAX = 1_024  # of one list: skipped questions; attempts and turns are far fewer

T = TypeVar("T", bound=BaseModel)

Text = Annotated[str, Field(max_length=PLAY_BYTES_MAX)]


class _Asked(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Question(_Asked):
    without: Annotated[list[Text], Field(max_length=ITEMS_MAX)] = []


class _Attempt(_Asked):
    question: Text
    turns: Annotated[list[Text], Field(max_length=ITEMS_MAX)]


class _Finish(_Asked):
    question: Text
    attempts: Annotated[list[Annotated[list[Text], Field(max_length=ITEMS_MAX)]], Field(max_length=ITEMS_MAX)]
    name: Text | None = None


def play_routes(snapshot: Callable[[], StatusSnapshot | Starting], play: Play) -> list[Route]:
    """Return the routes above. Until the daemon is a peer they answer 503."""

    async def question(request: Request) -> BaseModel:
        return await play.ask((await _read(request, _Question)).without)

    async def attempt(request: Request) -> BaseModel:
        asked = await _read(request, _Attempt)
        return await play.judge(asked.question, asked.turns)

    async def finish(request: Request) -> BaseModel:
        asked = await _read(request, _Finish)
        return await play.finish(asked.question, asked.attempts, asked.name)

    async def answers(_request: Request) -> BaseModel:
        return play.answers()

    return [
        Route("/play/question", _answering(snapshot, question), methods=["POST"]),
        Route("/play/attempt", _answering(snapshot, attempt), methods=["POST"]),
        Route("/play/finish", _answering(snapshot, finish), methods=["POST"]),
        Route("/play/answers", _answering(snapshot, answers), methods=["GET"]),
    ]


def _answering(
    snapshot: Callable[[], StatusSnapshot | Starting], answer: Callable[[Request], Awaitable[BaseModel]]
) -> Callable[[Request], Awaitable[Response]]:
    async def answering(request: Request) -> Response:
        found = snapshot()
        if isinstance(found, Starting):
            return Response(found.model_dump_json(), status_code=503, media_type="application/json")
        if request.method == "POST" and (problem := _of_another_page(request)) is not None:
            return JSONResponse({"error": problem}, status_code=403)
        try:
            shown = await answer(request)
        except SwarmdError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        return Response(shown.model_dump_json(), media_type="application/json")

    return answering


def _of_another_page(request: Request) -> str | None:
    """Return why this request may come from another page; None if it cannot."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return "send JSON, with the content type application/json"
    origin = request.headers.get("origin")
    if origin is not None and _place(origin) != request.headers.get("host", "").lower():
        return (
            "this request comes from the page of another origin: open the peer's own page. Behind a proxy, "
            "have it pass on the Host header unchanged"
        )
    return None


def _place(origin: str) -> str | None:
    """Return host and port of an Origin header; None if it names none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # "http://[": no browser sends this
        return None


async def _read(request: Request, kind: type[T]) -> T:
    """Return the body as `kind`. Raises ConfigError."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > PLAY_BYTES_MAX:
            raise ConfigError(f"a request has at most {PLAY_BYTES_MAX} bytes: write a shorter answer")
    may_take(request, PLAY_ANSWER_S)
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise ConfigError(
            "this is not a valid play request: it has a broken character or unknown fields. Write the "
            "answer again; on the page, reload it first"
        ) from error
