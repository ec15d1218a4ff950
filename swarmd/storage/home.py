"""A peer's home: the directory that makes it the same peer at the next start.

    identity.key     libp2p private key (protobuf, Ed25519), mode 0600; never overwritten
    config.toml      the operator's settings; read and written by the configuration code
    manifest.cbor    canonical bytes of the manifest of the swarm that this home belongs to
    charter.signed   the charter by the swarm's author; absent if there is none or it is unknown
    news.signed      the author's charter of a newer version, once one is known
    port             the TCP port from the first start, reused so that addresses known to others stay valid
    lock             flock, and the pid of the process that holds it
    rates.json       how fast its devices compute, measured at the first start with each device
    budgets.json     batches that did not fit into memory
    swarmd.sock      where the running daemon answers `swarmd status`
    swarmd.db        pool, ledger, steps, held-out answers, peers
    steps.jsonl      one line per step; steps.1.jsonl to steps.3.jsonl are older
    sinks/           output of the sinks in `observe.sinks`
    checkpoints/     weights, optimiser and counters
    records/         envelopes, own and pulled, named by their digests
    damaged-*        set aside because it was no longer what was written; swarmd never deletes it
    former-*         set aside because it belongs to the former peer of this home
    devices/         homes of the peers of `join --devices`, one per device; apart from these, such a home has
                     only lock and config.toml, unless it was the home of a single peer before

This module handles names and permissions, not contents, except for the key, the manifest and the charters.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from protocol import KeyPair, Manifest, ProtocolError, VerifiedCharter
from swarmd import places
from swarmd.errors import ConfigError
from swarmd.storage.charters import read_charter
from swarmd.storage.durable import FORMER, remedy, set_aside, write_whole
from swarmd.storage.identity import make_key, put_key, read_key
from swarmd.storage.versions import require_known_versions

PID_BYTES = 16
"""Length of the lock file's content. It is constant, so the file need not be truncated."""

PORTS = range(1, 65_536)
PORTS_KEPT = 2  # the one listened on, and the one to return to


@dataclass(frozen=True)
class Home:
    """The paths of a home, and the small files that no other module handles."""

    path: Path

    @classmethod
    def open(cls, path: Path, *, new_identity: bool = False) -> Self:
        """Return the home at `path`, creating it and its key if necessary.

        A home of an earlier peer that lost its key becomes a new peer only with `new_identity`. Raises
        ConfigError if the home cannot be created or written, if a newer swarmd wrote it, if its key is
        missing or damaged, or if another process is creating it.
        """
        home = cls(path.expanduser().resolve())
        try:
            for directory in (home.path, home.checkpoints_path, home.records_path):
                # The permissions of an existing directory are its owner's choice and are kept.
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            require_writable(home.path)
            _require_own(home.path)
            home._require_plain_files()
            home.require_known_versions()
            if home.socket_path.parent != home.path:
                places.make_runtime_directory(home.path)
            if not home.identity_path.exists():
                with home.lock():
                    home._create_key(new_identity)
        except FileExistsError as error:
            raise ConfigError(f"home {error.filename} is a file; choose a directory with --home") from error
        except NotADirectoryError as error:
            raise ConfigError(
                f"home {home.path} cannot be created: one of its parents is a file; choose another --home"
            ) from error
        except OSError as error:
            raise ConfigError(f"home {home.path} cannot be used: {remedy(error)}") from error
        home.key()
        return home

    @classmethod
    def existing(cls, path: Path) -> Self:
        """Return the home at `path` for a command that only reads.

        Raises ConfigError if there is none, or if a newer swarmd wrote it.
        """
        home = cls(path.expanduser().resolve())
        try:
            home.identity_path.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            if devices := places.told_devices(home.path):
                raise ConfigError(devices) from error
            raise ConfigError(
                f"there is no swarmd home at {home.path}; create one with `swarmd init` or `swarmd join`, "
                "or name another with --home"
            ) from error
        except OSError as error:
            raise ConfigError(f"home {home.path} cannot be read: {remedy(error)}") from error
        home.require_known_versions()
        return home

    @property
    def identity_path(self) -> Path:
        return self.path / "identity.key"

    @property
    def config_path(self) -> Path:
        return self.path / "config.toml"

    @property
    def manifest_path(self) -> Path:
        return self.path / "manifest.cbor"

    @property
    def charter_path(self) -> Path:
        return self.path / "charter.signed"

    @property
    def news_path(self) -> Path:
        return self.path / "news.signed"

    @property
    def port_path(self) -> Path:
        return self.path / "port"

    @property
    def rates_path(self) -> Path:
        return self.path / "rates.json"

    @property
    def budgets_path(self) -> Path:
        return self.path / "budgets.json"

    @property
    def lock_path(self) -> Path:
        return self.path / "lock"

    @property
    def database_path(self) -> Path:
        return self.path / "swarmd.db"

    @property
    def checkpoints_path(self) -> Path:
        return self.path / "checkpoints"

    @property
    def records_path(self) -> Path:
        return self.path / "records"

    @property
    def steps_path(self) -> Path:
        return self.path / "steps.jsonl"

    @property
    def sinks_path(self) -> Path:
        return self.path / "sinks"

    @property
    def devices_path(self) -> Path:
        return self.path / "devices"

    @property
    def socket_path(self) -> Path:
        """See `swarmd.places`."""
        return places.socket_path(self.path)

    @property
    def runtime_path(self) -> Path:
        """See `swarmd.places`."""
        return places.runtime_path(self.path)

    def key(self) -> KeyPair:
        """Return this peer's identity. Raises ConfigError. The file is never changed."""
        return read_key(self.identity_path)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the home. Raises ConfigError if another process holds it. A kill releases the lock."""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(self.lock_path, flags, 0o600)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise ConfigError(f"{self.lock_path} is a symbolic link: remove it") from error
            raise ConfigError(f"home {self.path} cannot be locked: {remedy(error)}") from error
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise ConfigError(f"{self.lock_path} is not a regular file with a single link: remove it")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.pread(descriptor, PID_BYTES, 0).decode("ascii", "replace").strip() or "unknown"
                raise ConfigError(
                    f"home {self.path} is used by a running swarmd (pid {pid}); stop it or use another --home"
                ) from None
            os.pwrite(descriptor, f"{os.getpid()}\n".encode().rjust(PID_BYTES), 0)
            try:
                yield
            finally:
                # Unlock explicitly: a child forked in the meantime shares the lock and would keep it after
                # the file is closed.
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    def require_unused(self) -> None:
        """Raise ConfigError if a running process holds this home. Creates nothing."""
        if self.lock_path.exists():
            with self.lock():
                return

    def require_known_versions(self) -> None:
        """Raise ConfigError if a newer swarmd wrote this home. Changes nothing."""
        require_known_versions(self.path, self.database_path, self.checkpoints_path)

    def has_checkpoints(self) -> bool:
        """Whether there is at least one checkpoint, whole or not. Raises ConfigError."""
        try:
            return any(self.checkpoints_path.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise ConfigError(f"home {self.path} cannot be used: {remedy(error)}") from error

    def read_manifest(self) -> bytes | None:
        """Read the bytes of the swarm's manifest, unverified; None before the first join."""
        try:
            return self.manifest_path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"{self.manifest_path} cannot be read: {remedy(error)}") from error

    def manifest(self) -> Manifest | None:
        """Return the swarm's manifest; None before the first join. Raises ConfigError for a damaged file."""
        data = self.read_manifest()
        try:
            return None if data is None else Manifest.from_bytes(data)
        except ProtocolError as error:
            raise ConfigError(
                f"{self.manifest_path} is not a manifest ({error}): restore a backup, or move it away and "
                "give --peer or --swarm"
            ) from error

    def write_manifest(self, manifest: bytes) -> None:
        self._write(self.manifest_path, manifest)

    def charter(self) -> VerifiedCharter | None:
        """Return the author's charter for this home's swarm. Raises ConfigError if the file is damaged."""
        again = "restore a backup, or move it away and give --swarm with the signed file again"
        return read_charter(self.charter_path, again)

    def news(self) -> VerifiedCharter | None:
        """Return the author's charter for a newer version. Raises ConfigError if the file is damaged."""
        return read_charter(self.news_path, "move it away; other peers tell of the new version again")

    def write_charter(self, charter: VerifiedCharter) -> None:
        self._write(self.charter_path, charter.envelope)

    def write_news(self, charter: VerifiedCharter) -> None:
        self._write(self.news_path, charter.envelope)

    def read_port(self) -> int | None:
        """Return the current or last port of this peer; None if there is none or the file is not valid.

        Raises ConfigError.
        """
        return next(iter(self._read_ports()), None)

    def read_usual_port(self) -> int | None:
        """Return the port that other peers know, kept while another one must be used. Raises ConfigError."""
        return next(reversed(self._read_ports()), None)

    def _read_ports(self) -> list[int]:
        """Return the current port and, if different, the usual one after it."""
        try:
            ports = [int(word) for word in self.port_path.read_bytes().split()]
        except (FileNotFoundError, ValueError):
            return []
        except OSError as error:
            raise ConfigError(f"{self.port_path} cannot be read: {remedy(error)}") from error
        return ports if len(ports) <= PORTS_KEPT and all(port in PORTS for port in ports) else []

    def write_port(self, port: int, usual: int | None = None) -> None:
        """Store the current port, and the usual one if that was in use by another program."""
        ports = (port,) if usual in (None, port) else (port, usual)
        self._write(self.port_path, "".join(f"{each}\n" for each in ports).encode())

    def _write(self, path: Path, data: bytes) -> None:
        try:
            write_whole(path, data)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {remedy(error)}") from error

    def restore_key(self, key: KeyPair, *, replace: bool) -> str:
        """Make `key` this home's key, creating the home if necessary; see `put_key`. Raises ConfigError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.lock():
                return put_key(self.identity_path, key, replace=replace)
        except OSError as error:
            raise ConfigError(f"the key {self.identity_path} cannot be restored: {remedy(error)}") from error

    def _create_key(self, new_identity: bool) -> None:
        """Create the key under the lock, so that only one of two concurrent first starts creates the peer."""
        if self.identity_path.exists():
            return
        traces = self.traces()
        if traces and not new_identity:
            here = shlex.quote(str(self.path))
            raise ConfigError(
                f"the key {self.identity_path} is missing, but a peer has used this home "
                f"({', '.join(traces)}): restore it (`swarmd key restore FILE --home {here}`), or keep "
                f"the weights but become a new peer (`swarmd join --home {here} --new-identity`), or choose "
                "another --home"
            )
        # The steps and ledger belong to the former peer, and nobody else can claim them.
        if self.database_path.exists():
            set_aside(self.database_path, FORMER, with_suffixes=("-wal", "-shm"))
        make_key(self.identity_path)

    def traces(self) -> tuple[str, ...]:
        """Return which parts show that this home belonged to a peer before. Raises OSError."""
        parts = []
        if self.database_path.exists() and self.database_path.stat().st_size > 0:
            parts.append(self.database_path.name)
        for directory in (self.checkpoints_path, self.records_path):
            if directory.is_dir() and any(not path.name.startswith(".") for path in directory.iterdir()):
                parts.append(f"{directory.name}/")
        return tuple(parts)

    def _require_plain_files(self) -> None:
        """Require that the database, written in place, is not a symbolic link. Raises ConfigError."""
        for suffix in ("", "-wal", "-shm"):
            path = self.database_path.with_name(self.database_path.name + suffix)
            if path.is_symlink():
                raise ConfigError(f"{path} is a symbolic link: move the file itself there")


def _require_own(path: Path) -> None:
    """Require that no other user can put files into the home. Raises ConfigError."""
    mode = path.stat().st_mode
    if mode & 0o022:
        raise ConfigError(
            f"other users can write to home {path} (mode {mode & 0o777:o}): "
            f"`chmod go-w {shlex.quote(str(path))}`"
        )


def require_writable(path: Path) -> None:
    """Raise OSError if this user cannot put files into the directory `path`. Writes nothing."""
    if not os.access(path, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        read_only = os.statvfs(path).f_flag & os.ST_RDONLY
        raise OSError(errno.EROFS if read_only else errno.EACCES, "not writable", str(path))
