"""Whatever gossip counts by reason says what each reason means."""

from __future__ import annotations

import ast
import inspect
from enum import EnumMeta
from types import ModuleType

import pytest

from protocol import Reason
from swarmd.daemon.rollouts import WHY_LOST
from swarmd.gossip import reputation
from swarmd.gossip.commands import Unpublished
from swarmd.gossip.statistics import GossipStatistics
from swarmd.network.interface import Misbehaviour, PullFailure


def described(source: EnumMeta | ModuleType) -> dict[str, bool]:
    """Each text that a name in `source` is assigned, and whether a docstring follows."""
    tree = ast.parse(inspect.getsource(source))
    [only, *_] = tree.body
    body = only.body if isinstance(only, ast.ClassDef) else tree.body
    found = {}
    for node, following in zip(body, [*body[1:], None], strict=True):
        match node:
            case ast.Assign(value=ast.Constant(value=str(text))):
                match following:
                    case ast.Expr(value=ast.Constant(value=str(said))):
                        found[text] = bool(said.strip())
                    case _:
                        found[text] = False
    return found


@pytest.mark.parametrize("reasons", [Reason, Unpublished, Misbehaviour, PullFailure, reputation])
def test_each_reason_is_described(reasons: EnumMeta | ModuleType) -> None:
    found = described(reasons)
    assert len(found) > 2
    assert [text for text, is_described in found.items() if not is_described] == []
    if isinstance(reasons, EnumMeta):
        assert set(found) == {member.value for member in reasons}


def test_the_reasons_for_which_groups_are_lost_are_listed_where_they_are_counted() -> None:
    source = inspect.getsource(GossipStatistics)
    for reason in described(reputation):
        assert reason in source
        assert reason in WHY_LOST, "the page has a sentence for it"
