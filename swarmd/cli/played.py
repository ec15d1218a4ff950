"""What became of a person's answers, as lines for a terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from swarmd.cli.peer_table import counted_peers, short_age
from swarmd.names import named
from swarmd.observe import printable
from swarmd.observe.play import ANSWERS_MAX

SHOWN = 10  # the newest answers; `--json` shows all that the daemon reports


def answer_lines(found: Mapping[str, Any], now: float | None = None) -> list[str]:
    """Return the newest answers, one line each. `now`: unix time; None means the present."""
    now = time.time() if now is None else now
    answers = found["answers"]
    if not answers:
        return ["no answers so far"]
    head = "answers so far" if len(answers) < ANSWERS_MAX else "the newest answers"
    lines = [f"{head}: {len(answers)}, newest first"]
    for answer in answers[:SHOWN]:
        age = short_age(now - answer["at"])
        tries = f"{answer['right']} of {answer['attempts']} right"
        what = f"{printable(answer['task'])}: {printable(answer['gist'])}"
        lines.append(f"  {age:>6}  {tries}, {_fate(answer)}  {what}")
    return [*lines, *_credit_lines(found)]


def _credit_lines(found: Mapping[str, Any]) -> list[str]:
    """Return what the answers did for other peers, as those say."""
    taught, claimed = found["taught_claimed"], found["claimed"]
    if not claimed:
        return ["no peer has said yet what the answers did: peers measure it now and then"]
    whom = counted_peers(taught) if taught else "nobody"
    by = f"your answers taught {whom}, as they say"
    each = [
        f"  {printable(named(peer['peer_id']))}: {peer['gain']:+.3f} nats for a held-out right answer, "
        f"over {peer['groups']} of your answers"
        for peer in claimed[:SHOWN]
    ]
    return [by, *each]


def _fate(answer: Mapping[str, Any]) -> str:
    match answer["state"]:
        case "published":
            peers = answer["pulled_by"]
            whom = counted_peers(peers) if peers else "nobody yet"
            return f"published, pulled by {whom}"
        case "waiting":
            return "waits for the next round"
        case "lost":
            return "not published: the peer stopped before its round"
        case _:
            return "not published"
