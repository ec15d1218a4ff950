"""Whatever is wrong with a TOML file is one line with its place, in the same words for every kind of file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from protocol import KeyPair
from swarmd.config.loading import load_with_origins
from swarmd.errors import ConfigError
from swarmd.experiment.reading import read_experiment
from swarmd.finding.signing import signed_before
from swarmd.quoting import QUOTED_CHARS_MAX
from swarmd.tasks.manifest import read_swarm_file
from swarmd.toml_files import parse_toml, read_toml

AUTHOR = KeyPair.from_seed(bytes(32)).peer_id

READERS: dict[str, Callable[[Path], object]] = {
    "settings": lambda path: load_with_origins(path.parent, {}, path),
    "manifest": lambda path: read_swarm_file(str(path)),
    "manifest to sign": lambda path: signed_before(str(path), path.read_text(), AUTHOR),
    "experiment": read_experiment,
}

BROKEN = {
    "a wrong line": (
        "seed = 1\nlocal 4\n",
        "Expected '=' after a key in a key/value pair (at line 2, column 7): 'local 4'",
    ),
    "a line too long to show": ("x" * 5_000 + "\n", f": '{'x' * QUOTED_CHARS_MAX}'…"),
    "a secret": ("http_token = 1a\n", "(at line 1, column 15)"),
    "a number of thousands of digits": (f"seed = {'1' * 5_000}\n", "Exceeds the limit"),
    "brackets without end": (f"a = {'[' * 100_000}\n", "maximum recursion depth exceeded"),
    "an end too early": ('a = "', "Unterminated string (at end of document)"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("broken", BROKEN)
def test_a_file_that_is_not_toml_is_refused_in_one_line(tmp_path: Path, reader: str, broken: str) -> None:
    text, said = BROKEN[broken]
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        READERS[reader](path)
    message = str(caught.value)
    assert message.startswith(f"{path} is not valid TOML: ")
    assert said in message
    assert "\n" not in message
    assert broken != "a secret" or message.endswith(said)


def test_a_text_is_read_up_to_its_bound_and_not_beyond(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"#" * 8)
    assert read_toml(path, bytes_max=8, kind="a test") == "#" * 8
    with pytest.raises(ConfigError, match=r"a.toml is larger than 7 bytes: it is not a test"):
        read_toml(path, bytes_max=7, kind="a test")


def test_bytes_that_are_not_text_are_named_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"a = 1\n\xff")
    with pytest.raises(ConfigError, match=r"a.toml is not UTF-8 text \(invalid start byte at byte 6\)"):
        read_toml(path, bytes_max=100, kind="a test")


def test_a_file_that_cannot_be_opened_is_its_reader_s_to_explain(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_toml(tmp_path / "none.toml", bytes_max=100, kind="a test")


def test_valid_toml_is_what_it_says() -> None:
    assert parse_toml("here", "a = 1\n[b]\nc = [2]\n") == {"a": 1, "b": {"c": [2]}}
