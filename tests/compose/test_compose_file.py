"""What docker-compose.yml promises of every container. tests/compose/run takes it through a real day."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarmd.observe.token import TOKEN

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"] == "swarmd:testnet")
GRAFANA = ROOT / "examples" / "grafana"


def prometheus() -> dict[str, Any]:
    (job,) = yaml.safe_load((GRAFANA / "testnet.yml").read_text())["scrape_configs"]
    return dict(job)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_has_no_rights_cannot_write_its_file_system_and_is_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"] > 0
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_are_judged_by_the_cheap_check_and_stop_in_good_order(name: str) -> None:
    service = SERVICES[name]
    assert "swarmd health" in service["healthcheck"]["test"][1]
    assert service["stop_signal"] == "SIGINT"
    assert service["stop_grace_period"] == "60s"


@pytest.mark.parametrize("name", OURS)
def test_a_start_of_minutes_on_a_busy_machine_is_not_taken_for_a_sick_peer(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert (check["start_period"], check["timeout"]) == ("600s", "30s")
    image = (ROOT / "Dockerfile").read_text()
    assert f"--timeout={check['timeout']} --start-period={check['start_period']}" in image


def test_only_this_machine_reaches_what_is_published() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_a_plain_up_starts_the_peers_alone() -> None:
    assert sorted(name for name, service in SERVICES.items() if "profiles" not in service) == [
        "bootstrap",
        "peer",
    ]


def test_prometheus_scrapes_each_peer_with_the_token_that_peers_ask_for() -> None:
    token = prometheus()["authorization"]["credentials"]
    assert TOKEN.fullmatch(token)
    assert {SERVICES[name]["environment"]["SWARMD_OBSERVE__HTTP_TOKEN"] for name in OURS} == {token}
    (scraped,) = prometheus()["dns_sd_configs"]
    assert scraped["names"] == ["bootstrap", "peer", "cuda-peer"]
    assert {SERVICES[name]["environment"]["SWARMD_OBSERVE__HTTP"] for name in scraped["names"]} == {
        f"0.0.0.0:{scraped['port']}"
    }


def test_grafana_finds_the_dashboard_and_its_data() -> None:
    mounts = dict(volume.rsplit(":", 2)[:2] for volume in SERVICES["grafana"]["volumes"] if volume[0] == ".")
    assert all((ROOT / source).is_file() for source in mounts)
    (provider,) = yaml.safe_load((GRAFANA / "testnet-dashboards.yml").read_text())["providers"]
    assert mounts["./examples/grafana/swarmd.json"] == f"{provider['options']['path']}/swarmd.json"
    (source,) = yaml.safe_load((GRAFANA / "datasource.yml").read_text())["datasources"]
    (variable,) = [
        each
        for each in json.loads((GRAFANA / "swarmd.json").read_text())["templating"]["list"]
        if each["type"] == "datasource"
    ]
    assert source["type"] == variable["query"]
    assert source["url"] == "http://prometheus:9090"


def test_the_tour_knows_the_token() -> None:
    tour = (ROOT / "tests/compose/tour.py").read_text()
    assert (
        re.search(r'^TOKEN = "(.+?)"', tour, re.MULTILINE)[1] == prometheus()["authorization"]["credentials"]
    )
