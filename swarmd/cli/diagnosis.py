"""The checks of `swarmd doctor`: one for each thing that can keep a peer from working, with a remedy.

If a daemon is running it is asked, and no model library is loaded. Otherwise the checks examine the machine
themselves.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from swarmd import model_names
from swarmd.cli.foresight import foresee_policy
from swarmd.daemon.descriptors import NEEDED, WANTED
from swarmd.daemon.health import concerns_reach
from swarmd.errors import ConfigError, SwarmdError
from swarmd.network.clocks import concerns_clock
from swarmd.network.ports import require_free_port
from swarmd.observe.words import duration
from swarmd.storage import Home
from swarmd.storage.database_trouble import trouble_of
from swarmd.storage.durable import remedy
from swarmd.storage.home import require_writable
from swarmd.user_paths import looking_at, path_of

if TYPE_CHECKING:
    from swarmd.config import Config
    from swarmd.observe import StatusSnapshot

DISK_BYTES_MIN = 200e6  # three checkpoints of the embedded model, plus the records
DISK_BYTES_ROOMY = 2e9  # the records, plus checkpoints of a model of a few hundred million parameters
COMMAND_S = 3.0  # timedatectl answers in milliseconds
HUB_S = 3.0  # to connect; a hub that takes longer counts as unreachable
GIGABYTE = 1e9  # of disks
GIB = 2**30  # of memory

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One line of the diagnosis. `remedy` says what to do; it is empty if nothing is wrong."""

    name: str
    state: State
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Patient:
    """A home, its settings, and its daemon's status; None if no daemon runs, or if it is still starting."""

    home: Home
    config: Config
    status: StatusSnapshot | None
    starting: str = ""
    """What a daemon that is still starting says about itself."""


@dataclass(frozen=True)
class Diagnosis:
    """All checks, and the reasons for the plan, one sentence each."""

    checks: tuple[Check, ...]
    plan: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return all(check.state != "fail" for check in self.checks)


def diagnose(patient: Patient) -> Diagnosis:
    """Run all checks. Takes some seconds if no daemon runs, because libraries are loaded."""
    checks = [check(patient) for check in _QUICK]
    if patient.status is not None:
        return Diagnosis((*checks, *_of_daemon(patient.status)), patient.status.plan)
    planned, reasons = _plan(patient)
    return Diagnosis((*checks, *planned, _sandbox(patient.home)), reasons)


def _home(patient: Patient) -> Check:
    home = patient.home
    try:
        Home.existing(home.path).key()
    except ConfigError as error:
        if home.path.exists() and any(home.path.iterdir()):
            command = f"swarmd check --home {shlex.quote(str(home.path))}"
            return Check("home", "fail", str(error), f"`{command}` says what is wrong with it")
        return _new_home(home.path)
    return _writable(home.path, f"{home.path} cannot be written") or Check("home", "ok", str(home.path))


def _new_home(path: Path) -> Check:
    """Check whether a home can be made at `path`, where there is none."""
    nearest = next(each for each in (path, *path.parents) if each.exists())
    if not nearest.is_dir():
        return Check("home", "fail", f"{path} cannot be made: {nearest} is a file", "choose another --home")
    made = Check("home", "ok", f"there is none at {path} yet: `swarmd join` creates it")
    return _writable(nearest, f"{path} cannot be made in {nearest}") or made


def _writable(directory: Path, otherwise: str) -> Check | None:
    """Return a failed check that begins with `otherwise` if this user cannot put files into `directory`."""
    try:
        require_writable(directory)
    except OSError as error:
        why, _, advice = remedy(error).partition("; ")
        return Check("home", "fail", f"{otherwise}: {why}", advice)
    return None


def _clock(patient: Patient) -> Check:
    wrong = next((each for each in _reasons(patient) if concerns_clock(each)), None)
    if wrong is not None:
        return Check("clock", "fail", wrong, "`timedatectl set-ntp true`, or `ntpdate`")
    said = _output("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if said == "no":
        return Check(
            "clock",
            "warn",
            "the system does not synchronise it",
            "`timedatectl set-ntp true`: if it is off by 30 s, other peers refuse what this one signs",
        )
    if said == "yes":
        return Check("clock", "ok", "synchronised by the system")
    agrees = "it agrees with the peers" if patient.status and patient.status.peers else "not known"
    return Check("clock", "ok", f"{agrees}: the system does not say whether it is synchronised")


def _port(patient: Patient) -> Check:
    network = patient.config.network
    if patient.status is not None:
        return Check("port", "ok", f"listens: {', '.join(patient.status.addresses) or 'no address yet'}")
    if patient.starting:
        return Check("port", "ok", f"not known yet: {patient.starting}")
    port = network.port or patient.home.read_usual_port() or 0
    try:
        require_free_port(network.host, port)
    except ConfigError as error:
        return Check("port", "fail" if network.port else "warn", str(error), "see above")
    return Check("port", "ok", f"TCP {port or 'any'} of {network.host} is free")


def _reachability(patient: Patient) -> Check:
    if patient.starting:
        return Check("reachability", "ok", f"not known yet: {patient.starting}")
    if patient.status is None:
        return Check("reachability", "ok", "not known: no daemon runs, and only other peers can tell")
    for reason in _reasons(patient):
        if concerns_reach(reason):
            text, _, advice = reason.partition("; ")
            return Check("reachability", "fail", text, advice or "see --host and --announce")
    seen, reach = sum(not peer.gone for peer in patient.status.peers), patient.status.reach
    if seen == 0 and reach.state == "unknown":
        return Check(
            "reachability", "ok", "not known: this peer sees no other peer, and only other peers can tell"
        )
    text = "1 other peer is seen" if seen == 1 else f"{seen} other peers are seen"
    state: State = "warn" if reach.state == "inline" else "ok"
    return Check("reachability", state, f"{text}; {reach.says}" if reach.says else text, reach.remedy)


def _swarm(patient: Patient) -> Check:
    """Check whether the peers' names resolve, and whether the author has published a newer version."""
    from swarmd.finding.bootstrap import look_up_addresses
    from swarmd.finding.news import News

    home = patient.home
    try:
        charter, news = home.charter(), home.news()
    except ConfigError as error:
        return Check("swarm", "fail", str(error), "see above")
    newer = News(charter).after(news.envelope).words(str(home.path)) if news is not None else None
    if newer is not None:
        return Check("swarm", "warn", newer, "docs/swarms.md says what an update keeps")
    bootstrap = () if charter is None else charter.charter.bootstrap
    warnings: list[str] = []
    asyncio.run(look_up_addresses((*patient.config.network.peers, *bootstrap), warnings.append))
    if warnings:
        return Check("swarm", "warn", "; ".join(warnings), "known peers are tried too")
    if charter is None:
        return Check("swarm", "ok", "not signed, or its author is not known")
    return Check(
        "swarm", "ok", f"{charter.charter.name}, version {charter.charter.version}, by {charter.author}"
    )


def _disk(patient: Patient) -> Check:
    place = next(path for path in (patient.home.path, *patient.home.path.parents) if path.exists())
    free = shutil.disk_usage(place).free
    pace = patient.status.disk.bytes_a_day if patient.status is not None else None
    written = "" if pace is None else f"; {pace / GIGABYTE:.1f} GB written per day, most of it deleted again"
    text = f"{free / GIGABYTE:.1f} GB free for {place}{written}"
    advice = "free some space, or choose another --home: a checkpoint that does not fit ends the peer"
    if free < DISK_BYTES_MIN:
        return Check("disk", "fail", text, advice)
    return Check("disk", "warn", text, advice) if free < DISK_BYTES_ROOMY else Check("disk", "ok", text)


def _database(patient: Patient) -> Check:
    path = patient.home.database_path
    try:
        trouble = trouble_of(path)
    except FileNotFoundError:
        return Check("database", "ok", "there is none yet: the first start creates it")
    except OSError as error:
        text, _, advice = remedy(error).partition("; ")
        return Check("database", "fail", f"{path} cannot be read: {text}", advice)
    if trouble is None:
        return Check("database", "ok", f"{path.name} is whole, and this swarmd can use it")
    return Check("database", "fail" if trouble.stops else "warn", f"{path}: {trouble.what}", trouble.remedy)


def _descriptors(_: Patient) -> Check:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= WANTED:
        return Check("open files", "ok", "as many as a busy peer needs")
    text = f"{hard} at once, but a busy peer needs {WANTED}"
    advice = f"`ulimit -n {WANTED}`, LimitNOFILE= of a service, --ulimit nofile= of a container"
    return Check("open files", "fail" if hard < NEEDED else "warn", text, advice)


def _hub(patient: Patient) -> Check:
    model = patient.config.policy.model
    try:
        with looking_at(model):
            is_here = model in (*model_names.INSIDE, model_names.SMOLLM2) or path_of(model).is_dir()
    except ConfigError as error:
        return Check("hub", "warn", f"not checked: {error}", "choose another --model")
    if is_here:
        return Check("hub", "ok", f"not needed: the model {model} is on this disk")
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return Check("hub", "ok", "not checked, because HF_HUB_OFFLINE is set: models come from the cache")
    url = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")  # valid, else no settings
    try:
        socket.create_connection((url.hostname or "", url.port or 443), timeout=HUB_S).close()
    except OSError as error:
        return Check(
            "hub",
            "warn",
            f"{url.hostname} cannot be reached: {error}",
            "check the connection or a proxy; models downloaded earlier still load",
        )
    return Check("hub", "ok", f"{url.hostname} can be reached")


_QUICK: tuple[Callable[[Patient], Check], ...] = (
    _home,
    _clock,
    _port,
    _reachability,
    _swarm,
    _disk,
    _database,
    _descriptors,
    _hub,
)


def _of_daemon(status: StatusSnapshot) -> Iterator[Check]:
    """Yield what a running peer knows about itself."""
    yield Check("device", "ok", f"{status.device}, {status.dtype}")
    yield Check("model", "ok", f"{status.model} is loaded, LoRA {status.lora or 'off'}")
    yield _layers(status.sandbox)
    reasons = [each for each in status.health.reasons if not (concerns_clock(each) or concerns_reach(each))]
    for reason in reasons:
        text, _, advice = reason.partition("; ")
        yield Check("health", "fail", text, advice or "the log says more: `swarmd status`")
    if not reasons:
        yield Check("health", "ok", f"{status.phase}, step {status.step}, up {duration(status.uptime_s)}")


def _plan(patient: Patient) -> tuple[list[Check], tuple[str, ...]]:
    """Return model, device and memory, as a start would find them."""
    home, config = patient.home, patient.config
    try:
        foresee_policy(config.policy, home)
    except ConfigError as error:
        return [Check("model", "fail", str(error), "see above")], ()
    from swarmd.daemon.learner import prepare
    from swarmd.hardware.probe import probe_hardware
    from swarmd.policy.engines import told_native
    from swarmd.tasks import load_manifest

    on_cpu = config.policy.device == "cpu"
    probe = probe_hardware(accelerators=not on_cpu)
    gpus = ", ".join(f"{each.device} ({each.name})" for each in probe.accelerators)
    cpu = f"{'cpu, as set' if on_cpu else 'no accelerator'}: {probe.cores} cores of {probe.cpu}"
    found = Check("device", "ok", gpus or cpu)
    try:
        manifest = home.manifest() or load_manifest("starter")
        plan = prepare(config, config.policy, home, manifest).plan
    except SwarmdError as error:
        return [found, Check("model", "fail", str(error), "see above")], ()
    peak, limit = plan.predicted_peak_bytes or 0, plan.memory_limit_bytes or 0
    memory = f"at most {peak / GIB:.2f} GiB are expected, and {limit / GIB:.1f} GiB may be used"
    where = f"{plan.model} on {plan.device}, {plan.dtype}"
    native = Check("native decoding", "ok", told_native())
    return [found, Check("model", "ok", where), Check("memory", "ok", memory), native], plan.reasons


def _sandbox(home: Home) -> Check:
    """Start a task worker, which reports the sandbox layers it could not apply."""
    from swarmd.tasks import TaskRunner

    async def ask() -> tuple[str, ...]:
        async with TaskRunner(reward="exact") as runner:
            return runner.sandbox_report()

    try:
        return _layers(asyncio.run(ask()))
    except SwarmdError as error:
        return Check(
            "sandbox", "fail", f"the task worker of {home.path} does not start: {error}", "see above"
        )


def _layers(missing: tuple[str, ...]) -> Check:
    if not missing:
        return Check("sandbox", "ok", "complete: scorers have no network and no files")
    advice = "docs/security.md says what the other layers still prevent"
    return Check("sandbox", "warn", "; ".join(missing), advice)


def _reasons(patient: Patient) -> tuple[str, ...]:
    return () if patient.status is None else patient.status.health.reasons


def _output(*command: str) -> str | None:
    """Return what a system command prints; None if there is no such command or it fails."""
    path = shutil.which(command[0])
    if path is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603  a fixed system command
            [path, *command[1:]], capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
