"""How a user names a peer on the command line: by its id, by the end of the id, or by its two-word name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from protocol import PeerId
from swarmd.errors import ConfigError
from swarmd.gossip.orders import parse_peer_id
from swarmd.names import name_of, named
from swarmd.observe import NoDaemonError, StartingError, ask_status
from swarmd.quoting import quoted
from swarmd.storage import Home

ENDING_CHARS_MIN = 4  # of an id's end; fewer would match several peers of a small swarm
SUGGESTED_MAX = 3  # similar names listed in an error


def find_peers(texts: Sequence[str], home: Home) -> list[PeerId]:
    """Return the peers that `texts` name, each once, in order. A whole id need not be known here.

    Raises ConfigError for a text that matches no peer or several, StartingError while the daemon starts.
    """
    if all(map(_is_whole, texts)):
        return list(dict.fromkeys(map(PeerId, texts)))
    known = known_peers(home)
    return list(dict.fromkeys(find_peer(text, known) for text in texts))


def find_peer(text: str, known: Iterable[str]) -> PeerId:
    """Return the peer that `text` names among `known`, or whose whole id it is. Raises ConfigError."""
    if _is_whole(text):
        return PeerId(text)
    peers = sorted(set(known))
    found = [peer for peer in peers if _fits(text, peer)]
    if len(found) == 1:
        return PeerId(found[0])
    if found:
        several = ", ".join(map(named, found[:SUGGESTED_MAX]))
        raise ConfigError(f"{quoted(text)} matches {len(found)} peers ({several}): give the end of the id")
    near = difflib.get_close_matches(text, map(name_of, peers), SUGGESTED_MAX)
    hint = f"did you mean {' or '.join(dict.fromkeys(near))}?" if near else "`swarmd peers --all` lists them"
    raise ConfigError(
        f"{quoted(text)} is not a peer id, nor the name or the end of the id of a known peer: {hint}"
    )


def known_peers(home: Home) -> set[str]:
    """Return every peer that the home's daemon lists or, if none runs, that its database names.

    Raises ConfigError if there is no home, StartingError while the daemon starts, StorageError.
    """
    try:
        return listed_peers(home)
    except StartingError:
        raise
    except NoDaemonError:
        return _stored_peers(Home.existing(home.path))


def listed_peers(home: Home) -> set[str]:
    """Return the home's own peer, and every other that its daemon lists.

    Raises NoDaemonError, StartingError, SwarmdError.
    """
    try:
        status = ask_status(home.path, home.socket_path)
    except StartingError as error:
        raise StartingError(f"{error}: try again in a moment") from error
    return {
        status.peer_id,
        *(peer.peer_id for peer in status.peers),
        *(peer.peer_id for peer in status.judgement.ignored),
        *status.judgement.trusted,
    }


def _stored_peers(home: Home) -> set[str]:
    from swarmd.storage import Database

    with home.lock(), Database(home.database_path) as database:
        return {
            *database.partners.all(),
            *database.acquaintances.words(),
            *(peer.peer_id for peer in database.acquaintances.all()),
            *(peer.peer_id for peer in database.peers.known()),
        }


def _is_whole(text: str) -> bool:
    try:
        parse_peer_id(text)
    except ConfigError:
        return False
    return True


def _fits(text: str, peer_id: str) -> bool:
    """Whether `text` is the name, the end of the id with or without an ellipsis, or both as the tables show
    them.
    """
    name, _, ending = text.strip().rpartition("…")
    name = name.strip().lower()
    if name and name != name_of(peer_id):
        return False
    by_ending = len(ending) >= ENDING_CHARS_MIN and peer_id.endswith(ending)
    return by_ending or (not name and ending.lower() == name_of(peer_id))
