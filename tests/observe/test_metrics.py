"""The metrics keep to Prometheus's conventions, stay bounded, and are what the dashboard asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from swarmd.names import named
from swarmd.observe import PeerView, ReachView, StatusSnapshot
from swarmd.observe.metrics import PEERS_MAX, REACH_STATES, exposition
from tests.observe.made_up_peer import HOSTILE, SNAPSHOT
from tests.observe.prometheus import MAY_BE_EMPTY
from tests.observe.prometheus import expressions as filled_expressions

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
DASHBOARD = Path(__file__).parents[2] / "examples" / "grafana" / "swarmd.json"
COLUMNS = 24  # of Grafana's grid


def families(status: StatusSnapshot = SNAPSHOT) -> dict[str, Any]:
    text, content_type = exposition(status, OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    return {family.name: family for family in text_string_to_metric_families(text.decode())}


def samples(status: StatusSnapshot = SNAPSHOT) -> dict[tuple[str, tuple[str, ...]], float]:
    def each() -> Iterator[Sample]:
        for family in families(status).values():
            yield from family.samples

    return {(sample.name, tuple(sample.labels.values())): sample.value for sample in each()}


def test_every_family_says_what_it_is() -> None:
    assert all(family.documentation for family in families().values())


def test_held_out_success_has_the_untrained_model_beside_it_and_intervals() -> None:
    found = samples()
    assert found["swarmd_held_out_success_ratio", ("untrained",)] == 0.3
    assert found["swarmd_held_out_success_ratio", ("now",)] == 0.43
    assert found["swarmd_held_out_success_low_ratio", ("now",)] == 0.34
    assert found["swarmd_held_out_gain_ratio", ()] == 0.13
    assert found["swarmd_held_out_gain_low_ratio", ()] == 0.05
    assert found["swarmd_evaluation_time_ratio", ()] == 0.012


def test_steps_and_phases_are_histograms_in_seconds() -> None:
    found = samples()
    assert found["swarmd_step_seconds_count", ()] == 12
    assert found["swarmd_step_seconds_sum", ()] == 3.6
    assert found["swarmd_step_seconds_bucket", ("0.1",)] == 0
    assert found["swarmd_step_seconds_bucket", ("0.3",)] == 10
    assert found["swarmd_step_seconds_bucket", ("1.0",)] == 12
    assert found["swarmd_phase_seconds_count", ("generating",)] == 12


def test_loss_rewards_entropy_memory_and_traffic_are_there() -> None:
    found = samples()
    assert found["swarmd_loss", ()] == 0.004
    assert found["swarmd_reward", ("own",)] == 0.25
    assert found["swarmd_reward", ("external",)] == 0.5
    assert found["swarmd_entropy_nats", ()] == 1.2
    assert found["swarmd_memory_bytes", ("process",)] == 500_000_000
    assert ("swarmd_memory_bytes", ("device",)) not in found
    assert found["swarmd_pulled_bytes_total", ()] == 90_000
    assert found["swarmd_served_bytes_total", ()] == 40_000
    assert found["swarmd_generated_tokens_total", ()] == 5_000


def test_a_step_that_a_kill_takes_back_lowers_no_counter() -> None:
    def counters(status: StatusSnapshot) -> list[Sample]:
        counting = [each for each in families(status).values() if each.type in ("counter", "histogram")]
        return [sample for family in counting for sample in family.samples]

    killed = SNAPSHOT.model_copy(update={"step": SNAPSHOT.step - 2})
    assert counters(killed) == counters(SNAPSHOT)
    assert samples(killed)["swarmd_step", ()] == SNAPSHOT.step - 2


def test_nothing_is_a_rate() -> None:
    assert [name for name in families() if re.search(r"per_(second|minute)|a_day", name)] == []


def test_the_peers_with_most_exchange_have_labels_and_no_others() -> None:
    many = tuple(PeerView(peer_id=f"12D3KooW{n:06}", groups_pulled=n) for n in range(100))
    found = samples(SNAPSHOT.model_copy(update={"peers": many}))
    pulled = {labels[0]: value for (name, labels), value in found.items() if name == PULLED}
    assert pulled == {named(peer.peer_id): peer.groups_pulled for peer in many[-PEERS_MAX:]}


PULLED = "swarmd_peer_pulled_groups_total"


def test_two_peers_with_the_same_label_do_not_break_the_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarmd.observe.metrics.named", lambda peer_id: "brisk-otter …abcdef")
    twins = tuple(PeerView(peer_id=f"12D3KooW{n}", groups_pulled=n) for n in range(2))
    found = samples(SNAPSHOT.model_copy(update={"peers": twins}))
    assert [labels for name, labels in found if name == PULLED] == [("brisk-otter …abcdef",)]


def test_no_text_that_peers_chose_is_in_it() -> None:
    text, _ = exposition(SNAPSHOT, OPENMETRICS)
    assert HOSTILE.encode() not in text
    assert b"onerror" not in text


def test_a_scraper_that_does_not_ask_for_openmetrics_gets_the_older_text() -> None:
    text, content_type = exposition(SNAPSHOT)
    assert content_type.startswith("text/plain")
    assert b"# EOF" not in text


def test_an_unreadable_version_of_openmetrics_gets_the_older_text() -> None:
    assert exposition(SNAPSHOT, "application/openmetrics-text; version=abc") == exposition(SNAPSHOT)


def test_a_peer_before_its_first_step_has_metrics_too() -> None:
    new = StatusSnapshot.model_validate(
        {
            name: SNAPSHOT.model_dump()[name]
            for name, field in StatusSnapshot.model_fields.items()
            if field.is_required()
        }
    )
    assert samples(new)["swarmd_step_seconds_count", ()] == 0


# The dashboard ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def expressions(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def test_every_metric_and_label_of_the_dashboard_is_in_the_exposition(dashboard: dict[str, Any]) -> None:
    there = {name for name, _ in samples()}
    asked = {name for expr in expressions(dashboard) for name in re.findall(r"swarmd_\w+", expr)}
    assert asked - there == set()
    labels = {label for family in families().values() for s in family.samples for label in s.labels}
    grouped = {name for expr in expressions(dashboard) for name in re.findall(r"by \((\w+)\)", expr)}
    assert grouped <= labels
    for variable in dashboard["templating"]["list"][1:]:
        assert set(re.findall(r"swarmd_\w+", variable["query"]["query"])) <= there


def test_a_query_takes_rates_of_counters_and_histograms_only(dashboard: dict[str, Any]) -> None:
    rated = {name for expr in expressions(dashboard) for name in re.findall(r"rate\((\w+)", expr)}
    assert all(name.endswith(("_total", "_sum", "_count", "_bucket")) for name in rated)


def lost(value: Any, copy: Any, path: str = "") -> Iterator[str]:
    """Where `copy` lacks what `value` says. It may say more."""
    if isinstance(value, dict) and isinstance(copy, dict):
        for key, part in value.items():
            yield from lost(part, copy.get(key), f"{path}.{key}")
    elif isinstance(value, list) and isinstance(copy, list) and len(value) == len(copy):
        for index, (part, of_copy) in enumerate(zip(value, copy, strict=True)):
            yield from lost(part, of_copy, f"{path}[{index}]")
    elif value != copy:
        yield path


def test_grafanas_own_schema_knows_all_of_the_dashboard(dashboard: dict[str, Any]) -> None:
    plugins.register_default_plugins()
    copy = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    assert list(lost(dashboard, copy)) == []
    assert list(lost({**dashboard, "definition": "x"}, copy)) == [".definition"]


def test_the_dashboard_can_be_provisioned(dashboard: dict[str, Any]) -> None:
    assert dashboard["schemaVersion"] >= 39
    assert dashboard["uid"]
    assert dashboard.get("id") is None, "Grafana gives the id"
    assert dashboard["templating"]["list"][0] == {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
    }
    panels = dashboard["panels"]
    ids = [panel["id"] for panel in panels]
    assert len(set(ids)) == len(ids)
    for panel in panels:
        assert panel["title"]
        assert panel["type"] in ("row", "stat", "timeseries", "bargauge")
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == panel["datasource"]["uid"] == "${datasource}"


def test_no_panel_lies_on_another_or_beside_the_grid(dashboard: dict[str, Any]) -> None:
    boxes = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(box["x"] >= 0 and box["x"] + box["w"] <= COLUMNS for box in boxes)
    for one, other in combinations(boxes, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)


def test_it_asks_first_what_a_person_asks_first(dashboard: dict[str, Any]) -> None:
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows == ["Is it well?", "Is it learning?", "Is it helping, and who helps it?"]


def test_how_it_is_reached_and_which_way_groups_came_have_few_labels() -> None:
    reach = ReachView(state="relayed", relays=("a", "b"), ways={"relay": 7, "else": 1}, places=2)
    found = samples(SNAPSHOT.model_copy(update={"reach": reach}))
    states = {labels: value for (name, labels), value in found.items() if name == "swarmd_reach"}
    assert states == {(state,): float(state == "relayed") for state in REACH_STATES}
    ways = {labels: value for (name, labels), value in found.items() if name == "swarmd_arrived_groups_total"}
    assert ways == {("direct",): 0.0, ("relay",): 7.0, ("inline",): 0.0}
    assert (found["swarmd_relays", ()], found["swarmd_relay_places", ()]) == (2.0, 2.0)


def test_a_real_prometheus_is_asked_every_expression_with_nothing_left_to_fill_in(
    dashboard: dict[str, Any],
) -> None:
    asked = [expression for _, expression in filled_expressions()]
    assert len(asked) == len(expressions(dashboard))
    assert [each for each in asked if "$" in each] == []
    assert {panel["title"] for panel in dashboard["panels"]} >= MAY_BE_EMPTY
