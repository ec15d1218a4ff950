"""How many files may be open: raised where that is possible, refused where it cannot suffice."""

from __future__ import annotations

import resource

import pytest

from swarmd.daemon.descriptors import NEEDED, WANTED, require_descriptors
from swarmd.errors import ConfigError


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, int]]:
    """The process's limit, as the system would keep it."""
    kept = {"now": (64, 64)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: kept["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, value: kept.update(now=value))
    return kept


def test_a_hard_limit_that_is_too_low_is_refused_with_what_to_do(limit) -> None:
    with pytest.raises(ConfigError, match=rf"only 64 files .* needs {NEEDED}: raise the limit \(`ulimit -n"):
        require_descriptors()


@pytest.mark.parametrize("hard", [NEEDED, 4_096, 1_000_000, resource.RLIM_INFINITY])
def test_a_soft_limit_is_raised_as_far_as_it_may_and_is_of_use(limit, hard: int) -> None:
    limit["now"] = (64, hard)
    require_descriptors()
    assert limit["now"] == (WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard), hard)


def test_a_limit_that_is_higher_stays(limit) -> None:
    limit["now"] = (100_000, 200_000)
    require_descriptors()
    assert limit["now"] == (100_000, 200_000)
