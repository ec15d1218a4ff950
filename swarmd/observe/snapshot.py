"""What a running daemon says about itself: the JSON of GET /status and of `swarmd status --json`.

Names and addresses of other peers in here are their claims. Show them as text, never as markup.
"""

from __future__ import annotations

from pydantic import BaseModel

from swarmd import __version__
from swarmd.observe.credit import Credit
from swarmd.observe.learning import AS_READ, Learning, SelfEvaluation


class _Part(BaseModel):
    model_config = AS_READ


class Health(_Part):
    """Whether the peer does its work and, if not, why not."""

    ok: bool
    reasons: tuple[str, ...] = ()


class Reward(_Part):
    """Mean reward of own groups, 0..1; null before the first step."""

    last: float | None = None
    mean_20: float | None = None
    """Over the last 20 steps."""
    best_20: float | None = None
    """The highest value of mean_20 so far."""


class Groups(_Part):
    """Counts of groups since the home was created."""

    own: int = 0
    published: int = 0
    pulled: int = 0
    external_used: int = 0
    rejected: dict[str, int] = {}
    """Reason -> count; reasons are those of `protocol.Reason`."""


class PeerView(_Part):
    """Another peer, as described by its last status and our own counts."""

    peer_id: str
    name: str = ""
    """Two words derived from the id. Names are not unique, and nothing depends on them."""
    gone: bool = False
    """True if it said goodbye, or there was no sign of it for three minutes."""
    last_seen: float | None = None
    """Unix time of the last sign of it; null if there never was one."""
    connected: bool = False
    address: str | None = None
    age_s: float | None = None
    """Seconds since its status was signed; null if none was read recently."""
    standing: str = "stranger"
    """banned (ignored because of its behaviour, or by the operator), stranger, met, or known."""
    on_trial: bool = False
    """Whether it was met later than other peers that deliver: until it has waited, it shares a fifth of the
    turns.
    """
    trust: float = 1.0
    """From 0 (ignored) to 1 (nothing is held against it)."""
    groups_taught: int = 0
    """Its groups that taught something."""
    points_lost: dict[str, int] = {}
    """Reason -> how often it lost points."""
    step: int | None = None
    model: str | None = None
    device: str | None = None
    groups_pulled: int = 0
    """How many of its groups this peer has pulled. Known: counted here."""
    groups_used: int = 0
    """How many of its groups this peer has trained on. Known."""
    pulls: int = 0
    """How often it pulled a record of this peer. Known: the connection proves who pulled."""
    groups_trained_on_claimed: int = 0
    """How many of this peer's groups it says that it has trained on. Cannot be checked."""
    used_claimed: dict[str, int] = {}
    """Publisher -> groups: from whom it says that it learned, at most 32 publishers. Its claim."""
    reward_mean: float | None = None
    held_out_claimed: float | None = None
    """The success on held-out questions that it claims, 0..1. Nobody checks it, and nothing depends on it."""


class HelpedPeer(_Part):
    """A peer that took something from this one. Counts are since the home was created."""

    peer_id: str
    name: str
    pulls: int
    """How often it pulled a record of this peer. Known."""
    groups_trained_on_claimed: int
    """How many of this peer's groups it says that it has trained on."""
    last_seen: float
    """Unix time."""
    gone: bool


class Helping(_Part):
    """What this peer gave to others. Counts are since the home was created, over the 4,096 newest peers."""

    groups_published: int = 0
    pulls: int = 0
    """How often others pulled a record. Known."""
    pulled_by: int = 0
    """By how many peers. Known."""
    groups_trained_on_claimed: int = 0
    """How many of this peer's groups others say that they have trained on, summed over them."""
    trained_on_by_claimed: int = 0
    """How many peers say so."""
    peers: tuple[HelpedPeer, ...] = ()
    """Those that took most, first; at most 256."""


class HeardPeer(_Part):
    """A peer that taught this one."""

    peer_id: str
    name: str
    groups_used: int
    """Its groups that this peer has trained on, since the home was created. Known."""
    last_seen: float
    """Unix time."""
    gone: bool


class Hearing(_Part):
    """What this peer learned from others. All of it is known."""

    groups_used: int = 0
    taught_by: int = 0
    """From how many peers."""
    peers: tuple[HeardPeer, ...] = ()
    """Those that taught most, first; at most 256."""


class IgnoredPeer(_Part):
    """A peer that is not listened to."""

    peer_id: str
    reason: str
    """What it last lost points for, or "banned"."""
    seconds_left: float | None = None
    """Null if the operator banned it, which lasts until `swarmd unban`."""


class Judgement(_Part):
    """Who is ignored, who is trusted, and what peers did. Counts begin when the daemon starts."""

    ignored: tuple[IgnoredPeer, ...] = ()
    trusted: tuple[str, ...] = ()
    points_lost: dict[str, int] = {}
    """Reason -> how often any peer lost points."""
    misbehaved: dict[str, int] = {}
    """flood, lies, refuses -> how often the transport reported it."""
    refused: dict[str, int] = {}
    """What peers requested from the transport and were refused -> how often."""
    junk: dict[str, int] = {}
    """Reason -> how many values were neither valid announcements nor statuses."""


class Disk(_Part):
    """What this peer writes to disk."""

    written_bytes: int = 0
    """By the daemon since it started, as counted by the system; checkpoints alone if the system counts
    nothing.
    """
    checkpoint_bytes: int = 0
    """Of that, checkpoints."""
    bytes_a_day: float | None = None
    """At this pace; null in the first minute."""
    save_every_s: float = 0.0
    """Seconds of training that a kill costs at most, if checkpoints are saved by time."""
    saved_step: int = 0
    """Step of the newest checkpoint; 0 or less before the first."""


class Durations(_Part):
    """How often something took how long, since the daemon started."""

    counts: tuple[int, ...]
    """One per bucket of `observe.durations.BUCKETS_S`, not cumulative, plus one for anything longer."""
    seconds: float
    """Total seconds."""


class JudgeView(_Part):
    """A task that judges reward, and how well they agree with the truth where it is known."""

    task: str
    judges: tuple[str, ...]
    """verifier, agreement, or the kind and model of a judge."""
    calibrated: dict[str, float | None] = {}
    """Judge -> share of held-out answers that it judged correctly; half is chance. Null: not measured."""
    completions: int = 0
    """Own completions that were judged since the daemon started."""
    reward: float = 0.0
    """Mean reward of the newest 512 of them, 0..1."""
    truth: float | None = None
    """What the task's verifier says of the same completions; null if there is none. It rewards nothing."""
    agreement: float | None = None
    """Share of them on which judges and verifier agree."""


class LastStep(_Part):
    """Numbers of the last step; null where there was nothing to measure."""

    loss: float | None = None
    reward_external: float | None = None
    """Mean over external completions, as scored here, 0..1."""
    entropy: float | None = None
    """Nats per token of own completions."""
    completion_tokens_mean: float | None = None
    completions_finished: float | None = None
    """Share of own completions that ended by themselves, 0..1."""


class Memory(_Part):
    """Bytes."""

    process: int = 0
    """Resident memory of the daemon, without p2pd and task workers."""
    device: int | None = None
    """Peak memory that PyTorch held on the accelerator since the start; null on a CPU."""
    limit: int | None = None
    """What the plan allows on the device; null without a limit."""


class Traffic(_Part):
    """Bodies of groups since the daemon started, in bytes. The DHT's own traffic is not included."""

    pulled_bytes: int = 0
    served_bytes: int = 0


class ReachView(_Part):
    """How others reach this peer, and what it does as a relay. Counts begin when the daemon starts."""

    state: str = "unknown"
    """direct, punched (hole punching works), relayed, inline or unknown."""
    says: str = ""
    """The same in a sentence."""
    remedy: str = ""
    """How to become easier to reach; empty if there is nothing to do."""
    port: int = 0
    """The TCP port that others dial."""
    seen_at: str = ""
    """The IP address at which most other peers see this one; empty if unknown."""
    opened: int = 0
    """Networks that dialled back successfully in the last half hour."""
    closed: int = 0
    """Networks that dialled back and failed."""
    relays: tuple[str, ...] = ()
    """Peers that relay for this one."""
    ways: dict[str, int] = {}
    """direct, relay, inline (from the DHT) -> external groups that came this way."""
    places: int = 0
    """Peers for which this one relays."""
    circuits: int = 0
    """Connections that it relays now."""
    relayed_bytes: int = 0
    relay_refused: int = 0
    """Requests for a place or a connection that were refused."""


class Ranked(_Part):
    """A peer in an observer's ranking."""

    peer_id: str
    groups: int
    """How many of its newest groups were scored here, at most 100."""
    success: float
    """Their mean reward as scored here, 0..1."""
    interval: tuple[float, float] | None = None
    """95% interval of `success`; null with fewer than two groups."""
    claimed: float | None = None
    """The mean reward of its last 20 steps that it claims, 0..1. Nobody checks it."""


class SwarmView(_Part):
    """A swarm as seen by an observer, which does not train."""

    board: tuple[Ranked, ...] = ()
    """Peers with at least ten groups, by the lower bound of their interval, then the others; at most 256."""
    members_at: tuple[float, ...] = ()
    """Unix times, oldest first, at most 400."""
    members: tuple[int, ...] = ()
    """How many peers were present at these times."""
    models: dict[str, int] = {}
    """Model -> peers that say they train it, most frequent first; at most 32."""
    devices: dict[str, int] = {}
    """Device -> peers that say they compute on it; at most 32."""
    groups_published_claimed: int = 0
    """By the peers that are present, since each started. Their claim."""
    groups_scored: int = 0
    """By this observer, since its home was created."""
    bytes_pulled: int = 0
    """By this observer, since it started."""
    connections: int = 0


class Starting(_Part):
    """A daemon that is not a peer yet: before its first step it imports, opens and loads."""

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
    """The newest; null before the first. Past ones are in `learning`."""
    learning: Learning = Learning()
    last_step: LastStep = LastStep()
    durations: dict[str, Durations] = {}
    """"step" and its phases -> how long they took."""
    tokens_generated: int = 0
    """Since the daemon started."""
    memory: Memory = Memory()
    traffic: Traffic = Traffic()
    reach: ReachView = ReachView()
    groups: Groups = Groups()
    judges: tuple[JudgeView, ...] = ()
    """Of the tasks whose manifest names judges."""
    helping: Helping = Helping()
    hearing: Hearing = Hearing()
    credit: Credit = Credit()
    plays: bool = False
    """Whether a person can answer in this peer's name: `swarmd play`, and the page's section of that name."""
    peers: tuple[PeerView, ...] = ()
    """The best known first, then those that are gone."""
    judgement: Judgement = Judgement()
    disk: Disk = Disk()
    version: str = __version__
    pid: int
    steps_per_minute: float | None = None
    tokens_per_s: float | None = None
    plan: tuple[str, ...] = ()
    """Why the peer runs its model the way it does, one sentence per decision."""
    news: str | None = None
    """A newer version of the swarm, signed by its author, and how to join it; null if there is none."""
    sandbox: tuple[str, ...] = ()
    """Layers of the scorers' sandbox that this machine lacks, one line each; ideally empty."""
    join_command: str | None = None
    """The command with which another machine joins through this peer."""
    swarm_view: SwarmView | None = None
    """Only for an observer; everything about training is then empty."""
    reward_history: tuple[float, ...] = ()
    """Mean reward of the most recent steps, oldest first: the curve on the status page."""
