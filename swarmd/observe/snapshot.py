"""What a running daemon says about itself: the JSON of GET /status and of `swarmd status --json`.

Names and addresses of other peers in here are their claims. Show them as text, never as markup.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from swarmd import __version__


class _Part(BaseModel):
    # extra="ignore": a status command may read a newer daemon. NaN has no JSON: it is written as null.
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


class Health(_Part):
    """Whether the peer does its work, and if not, why not."""

    ok: bool
    reasons: tuple[str, ...] = ()


class Reward(_Part):
    """Mean reward of own groups, 0..1; null before the first step."""

    last: float | None = None
    mean_20: float | None = None
    """Over the last 20 steps."""
    best_20: float | None = None
    """The highest that mean_20 has been."""


class Groups(_Part):
    """Counts of groups since the home was created."""

    own: int = 0
    published: int = 0
    pulled: int = 0
    external_used: int = 0
    rejected: dict[str, int] = {}
    """Reason -> how many; reasons are those of `protocol.Reason`."""


class SelfEvaluation(_Part):
    """Greedy success on the swarm's held-out questions, which nobody trains on, as the peer measured it."""

    step: int
    """The step after which it was measured."""
    success: float
    """Share of questions answered right, 0..1."""
    interval: tuple[float, float]
    """95 % Wilson interval of `success`."""
    questions: int
    tasks: dict[str, float] = {}
    """Success by the task's name in the manifest."""


class PeerView(_Part):
    """Another peer, as its last status and our own counts describe it."""

    peer_id: str
    address: str | None = None
    age_s: float | None = None
    """Seconds since its status was signed; null if none was read recently."""
    standing: str = "stranger"
    """banned (ignored because of what it did, or by the operator), stranger, met, or known."""
    trust: float = 1.0
    """From 0 (ignored) to 1 (nothing is held against it)."""
    groups_taught: int = 0
    """Its groups that taught something."""
    points_lost: dict[str, int] = {}
    """Reason -> how often it lost points."""
    step: int | None = None
    model: str | None = None
    groups_pulled: int = 0
    """How many of its groups this peer has pulled."""
    reward_mean: float | None = None
    held_out_claimed: float | None = None
    """The success on held-out questions that it claims, 0..1. Nobody checks it, and nothing depends on it."""


class IgnoredPeer(_Part):
    """A peer that is not listened to."""

    peer_id: str
    reason: str
    """What it last lost points for, or "banned"."""
    seconds_left: float | None = None
    """Null if the operator banned it: this lasts until `swarmd unban`."""


class Judgement(_Part):
    """Who is not listened to, who always is, and what peers did. Counts begin when the daemon starts."""

    ignored: tuple[IgnoredPeer, ...] = ()
    trusted: tuple[str, ...] = ()
    points_lost: dict[str, int] = {}
    """Reason -> how often any peer lost points."""
    misbehaved: dict[str, int] = {}
    """flood, lies, refuses -> how often the transport reported it."""
    refused: dict[str, int] = {}
    """What peers asked the transport for and did not get -> how often."""
    junk: dict[str, int] = {}
    """Reason -> how many values were read as announcements or statuses and are neither."""


class Disk(_Part):
    """What this peer writes."""

    written_bytes: int = 0
    """By the daemon since it started, as the system counts it; checkpoints alone if it counts nothing."""
    checkpoint_bytes: int = 0
    """Of that, checkpoints."""
    bytes_a_day: float | None = None
    """At this pace; null in the first minute."""
    save_every_s: float = 0.0
    """Seconds of training that a kill costs at most, if checkpoints are saved by time."""
    saved_step: int = 0
    """Step of the newest checkpoint; 0 or less before the first."""


class Ranked(_Part):
    """A peer on an observer's board."""

    peer_id: str
    groups: int
    """Of its newest groups, those that were scored here: 100 at most."""
    success: float
    """Their mean reward as scored here, 0..1."""
    interval: tuple[float, float] | None = None
    """95 % interval of `success`; null with fewer than two groups."""
    claimed: float | None = None
    """The mean reward of its last 20 steps that it claims, 0..1. Nobody checks it."""


class SwarmView(_Part):
    """A swarm as an observer sees it, which does not train."""

    board: tuple[Ranked, ...] = ()
    """The most successful first; 256 at most."""
    members_at: tuple[float, ...] = ()
    """Unix times, oldest first, 400 at most."""
    members: tuple[int, ...] = ()
    """How many peers were there at these times."""
    models: dict[str, int] = {}
    """Model -> peers that say they train it, the most frequent first; 32 at most."""
    devices: dict[str, int] = {}
    """Device -> peers that say they compute on it; 32 at most."""
    groups_published_claimed: int = 0
    """By the peers that are here, since each began. Their claim."""
    groups_scored: int = 0
    """By this observer, since its home was made."""
    bytes_pulled: int = 0
    """By this observer, since it started."""
    connections: int = 0


class Starting(_Part):
    """A daemon that is not a peer yet: it imports, opens and loads before its first step."""

    phase: str
    """What it is doing."""
    uptime_s: float
    peer_id: str
    pid: int

    def __str__(self) -> str:
        return f"starting for {self.uptime_s:.0f} s: {self.phase} (pid {self.pid})"


class StatusSnapshot(_Part):
    """One moment of one peer."""

    health: Health
    peer_id: str
    swarm: str
    """The swarm's name; names are not unique, ids are."""
    swarm_id: str
    """Hex of the 32-byte swarm id."""
    round: int
    step: int
    phase: str
    uptime_s: float
    model: str
    device: str
    dtype: str
    lora: str | None = None
    """Such as r=16,alpha=32; null when all weights are trained."""
    addresses: tuple[str, ...] = ()
    http: str | None = None
    """Base URL of the status page, null when only the unix socket is served."""
    reward: Reward = Reward()
    evaluation: SelfEvaluation | None = None
    """The newest; null before the first."""
    groups: Groups = Groups()
    peers: tuple[PeerView, ...] = ()
    """The best known first."""
    judgement: Judgement = Judgement()
    disk: Disk = Disk()
    version: str = __version__
    pid: int
    steps_per_minute: float | None = None
    tokens_per_s: float | None = None
    sandbox: tuple[str, ...] = ()
    """The layers of the scorers' sandbox that this machine lacks, one line each; empty is best."""
    join_command: str | None = None
    """The command with which another machine joins through this peer."""
    swarm_view: SwarmView | None = None
    """Only of an observer; then what belongs to training is empty."""
    reward_history: tuple[float, ...] = ()
    """Mean reward of the most recent steps, oldest first: the curve on the status page."""
