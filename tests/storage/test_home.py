"""A home: made once, never overwritten, held by one daemon, and clear about what is wrong with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocol import KeyPair
from swarmd.errors import ConfigError
from swarmd.storage import Home

HOLD_THE_LOCK = """
import sys
from pathlib import Path
from swarmd.storage import Home
with Home.open(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of `home` until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def without_rights() -> Iterator[None]:
    """Run as a user who is bound by file rights: root could write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A directory that every user can reach; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
        path.chmod(0o755)


@pytest.fixture
def temporary_directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary directory of this test's own, with a path as short as the real one's."""
    with tempfile.TemporaryDirectory() as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_opening_makes_the_layout_for_its_owner_only(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "deep" / "home")
    assert mode(home.path) == 0o700
    assert mode(home.identity_path) == 0o600
    assert home.checkpoints_path.is_dir()
    assert home.records_path.is_dir()
    assert home.config_path == home.path / "config.toml"
    assert not home.config_path.exists()
    assert home.read_manifest() is None
    assert home.read_port() is None


def test_the_key_is_random_and_stays_the_same(tmp_path: Path) -> None:
    first = Home.open(tmp_path / "a").key()
    assert Home.open(tmp_path / "a").key().peer_id == first.peer_id
    assert Home.open(tmp_path / "b").key().peer_id != first.peer_id
    assert (tmp_path / "a" / "identity.key").read_bytes() == first.to_libp2p()


def test_a_key_made_elsewhere_is_taken(tmp_path: Path) -> None:
    key = KeyPair.from_seed(bytes(range(32)))
    (tmp_path / "identity.key").write_bytes(key.to_libp2p())
    (tmp_path / "identity.key").chmod(0o600)
    assert Home.open(tmp_path).key().peer_id == key.peer_id


GOOD_KEY = KeyPair.from_seed(bytes(32)).to_libp2p()


@pytest.mark.parametrize(
    "damaged",
    [b"", GOOD_KEY[:-1], GOOD_KEY + b"\0", GOOD_KEY[:40] + b"\xff" + GOOD_KEY[41:], b"-----BEGIN"],
    ids=["empty", "short", "long", "flipped", "another format"],
)
def test_a_corrupt_key_is_named_and_never_overwritten(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "identity.key"
    path.write_bytes(damaged)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"identity\.key is damaged .*key restore FILE"):
        Home.open(tmp_path)
    assert path.read_bytes() == damaged


def test_the_rights_of_a_directory_that_was_there_stay(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Home.open(tmp_path)
    assert mode(tmp_path) == 0o755


def test_a_file_in_place_of_the_home_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(ConfigError, match=r"home is a file; choose a directory with --home"):
        Home.open(tmp_path / "home")


def test_a_file_above_the_home_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(ConfigError, match="one of its parents is a file; choose another --home"):
        Home.open(tmp_path / "file" / "home")


def test_a_home_that_cannot_be_made_says_why(public_path: Path) -> None:
    public_path.chmod(0o555)
    with (
        without_rights(),
        pytest.raises(ConfigError, match="permission denied; give this user read and write"),
    ):
        Home.open(public_path / "home")


def test_a_home_that_cannot_be_written_says_why(public_path: Path) -> None:
    for name in ("checkpoints", "records"):
        (public_path / name).mkdir()
    public_path.chmod(0o555)
    with (
        without_rights(),
        pytest.raises(ConfigError, match="permission denied; give this user read and write"),
    ):
        Home.open(public_path)


def test_reading_commands_need_a_home_that_exists(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"there is no swarmd home at .*create one with `swarmd init` or `swarmd join`"
    ):
        Home.existing(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    made = Home.open(tmp_path / "home")
    assert Home.existing(tmp_path / "home") == made


def test_a_home_is_held_by_one_process(tmp_path: Path) -> None:
    home = Home.open(tmp_path)
    with holder(tmp_path) as process:
        expected = (
            rf"home .* is used by a running swarmd \(pid {process.pid}\); stop it or use another --home"
        )
        with pytest.raises(ConfigError, match=expected), home.lock():
            pytest.fail("two processes hold the home")
        assert Home.existing(tmp_path).key().peer_id == home.key().peer_id


def test_the_lock_is_free_again_after_its_block(tmp_path: Path) -> None:
    home = Home.open(tmp_path)
    for _ in range(2):
        with home.lock():
            assert home.lock_path.read_text().split() == [str(os.getpid())]


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to], ids=["symbolic", "hard"])
def test_a_lock_that_is_a_link_is_refused_and_what_it_names_stays(tmp_path: Path, make: Callable) -> None:
    home = Home.open(tmp_path / "home")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    home.lock_path.unlink()
    make(home.lock_path, victim)
    with pytest.raises(ConfigError, match=r"lock is .*remove it"), home.lock():
        pytest.fail("locked through a link")
    assert victim.read_text() == "precious"


def test_a_database_that_is_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "home")
    home.database_path.symlink_to(tmp_path / "victim")
    with pytest.raises(ConfigError, match=r"swarmd\.db is a symbolic link"):
        Home.open(tmp_path / "home")
    assert not (tmp_path / "victim").exists()


def test_small_files_are_put_in_place_of_a_link_and_not_through_it(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "home")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for path, write in (
        (home.port_path, lambda: home.write_port(4001)),
        (home.manifest_path, lambda: home.write_manifest(b"m")),
    ):
        path.symlink_to(victim)
        write()
        assert not path.is_symlink()
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("rights", [0o640, 0o604, 0o644, 0o660])
def test_a_key_that_others_may_use_is_refused_with_the_remedy(tmp_path: Path, rights: int) -> None:
    home = Home.open(tmp_path / "home")
    home.identity_path.chmod(rights)
    with pytest.raises(ConfigError, match=rf"mode {rights:o}.*`chmod 600 .*identity\.key`"):
        Home.open(tmp_path / "home")
    home.identity_path.chmod(0o400)
    assert Home.open(tmp_path / "home").key()


@pytest.mark.parametrize("rights", [0o770, 0o707, 0o777])
def test_a_home_into_which_others_may_write_is_refused_with_the_remedy(tmp_path: Path, rights: int) -> None:
    home = Home.open(tmp_path / "home")
    home.path.chmod(rights)
    with pytest.raises(ConfigError, match=rf"mode {rights:o}.*`chmod go-w "):
        Home.open(home.path)


def test_a_killed_daemon_does_not_hold_its_home(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with Home.open(tmp_path).lock():
            pass


def test_an_error_inside_the_lock_frees_it_and_passes_through(tmp_path: Path) -> None:
    home = Home.open(tmp_path)
    with pytest.raises(ZeroDivisionError), home.lock():
        raise ZeroDivisionError
    with home.lock():
        pass


def test_manifest_and_port_are_kept(tmp_path: Path) -> None:
    home = Home.open(tmp_path)
    home.write_manifest(b"\xa0 manifest")
    home.write_port(41_000)
    again = Home.existing(tmp_path)
    assert again.read_manifest() == b"\xa0 manifest"
    assert again.read_port() == 41_000
    again.write_port(41_001)
    assert home.read_port() == 41_001


def test_a_port_that_is_taken_for_a_while_is_not_forgotten(tmp_path: Path) -> None:
    home = Home.open(tmp_path)
    home.write_port(41_000)
    home.write_port(50_123, home.read_usual_port())
    assert (home.read_port(), home.read_usual_port()) == (50_123, 41_000)
    home.write_port(41_000, home.read_usual_port())
    assert (home.read_port(), home.read_usual_port()) == (41_000, 41_000)


@pytest.mark.parametrize("content", ["", "no port", "0", "65536", "-1", "41000 no", "1 2 3"])
def test_a_port_file_that_holds_no_port_is_as_none(tmp_path: Path, content: str) -> None:
    home = Home.open(tmp_path)
    home.port_path.write_text(content)
    assert home.read_port() is None


def test_a_small_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    home = Home.open(tmp_path)
    home.port_path.mkdir()
    with pytest.raises(ConfigError, match=r"port cannot be written: is a directory"):
        home.write_port(1)


def test_the_socket_is_in_the_home(temporary_directory: Path) -> None:
    home = Home.open(temporary_directory / "home")
    assert home.socket_path == home.path / "swarmd.sock"


def test_a_deep_home_has_its_socket_in_a_private_directory_that_follows_from_its_path(
    tmp_path: Path, temporary_directory: Path
) -> None:
    deep = tmp_path / ("d" * 120)
    home = Home.open(deep)
    assert home.socket_path.parent.parent == temporary_directory
    assert mode(home.socket_path.parent) == 0o700
    assert Home.existing(deep).socket_path == home.socket_path
    assert Home.open(tmp_path / ("e" * 120)).socket_path != home.socket_path
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(home.socket_path))


def test_a_socket_directory_that_others_can_enter_is_refused(
    tmp_path: Path, temporary_directory: Path
) -> None:
    deep = tmp_path / ("d" * 120)
    Home.open(deep).socket_path.parent.chmod(0o777)
    with pytest.raises(ConfigError, match="is not a private directory of this user"):
        Home.open(deep)


def test_a_temporary_directory_too_deep_for_a_socket_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("t" * 120)))
    home = Home.open(tmp_path / ("d" * 120))
    assert home.socket_path.parent.parent == Path("/tmp")
    home.socket_path.parent.rmdir()
