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


class PeerView(_Part):
    """Another peer, as its last status and our own counts describe it."""

    peer_id: str
    name: str = ""
    """Two words that follow from the id. Names are not unique, and nothing depends on them."""
    gone: bool = False
    """True if nothing was seen of it for three minutes."""
    last_seen: float | None = None
    """Unix time of the newest sign of it; null if there never was one."""
    connected: bool = False
    address: str | None = None
    age_s: float | None = None
    """Seconds since its status was signed; null if none was read recently."""
    standing: str = "stranger"
    """banned (ignored because of what it did, or by the operator), stranger, met, or known."""
    on_trial: bool = False
    """It was met, but later than others that deliver: it shares a fifth of the turns until it has waited."""
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
    """How many groups of this peer it says that it has trained on. Nobody can check it."""
    used_claimed: dict[str, int] = {}
    """Publisher -> groups: whom it says that it learned from, 32 publishers at most. Its claim."""
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
    """How many groups of this peer it says that it has trained on."""
    last_seen: float
    """Unix time."""
    gone: bool


class Helping(_Part):
    """What this peer gave to others. Counts are since the home was created, of the 4,096 newest peers."""

    groups_published: int = 0
    pulls: int = 0
    """How often others pulled a record. Known."""
    pulled_by: int = 0
    """By how many peers. Known."""
    groups_trained_on_claimed: int = 0
    """How many groups of this peer others say that they have trained on, summed over them."""
    trained_on_by_claimed: int = 0
    """How many peers say so."""
    peers: tuple[HelpedPeer, ...] = ()
    """Those that took most first; 256 at most."""


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
    """Those that taught most first; 256 at most."""


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


class Durations(_Part):
    """How often something took how long, since the daemon started."""

    counts: tuple[int, ...]
    """One per bucket of `observe.durations.BUCKETS_S`, not cumulative, and one for longer."""
    seconds: float
    """All of them together."""


class JudgeView(_Part):
    """A task that judges reward, and how they agree with the truth where it is known."""

    task: str
    judges: tuple[str, ...]
    """verifier, agreement, or the kind and model of a judge."""
    calibrated: dict[str, float | None] = {}
    """Judge -> share of held-out answers that it judged rightly; half is chance. Null: not measured."""
    completions: int = 0
    """Own ones that were judged since the daemon started."""
    reward: float = 0.0
    """Mean reward of the newest 512 of them, 0..1."""
    truth: float | None = None
    """What the task's verifier says of the same; null where there is none. It rewards nothing."""
    agreement: float | None = None
    """Share of them of which judges and verifier say the same."""


class LastStep(_Part):
    """Numbers of the last step; null where there was nothing to measure."""

    loss: float | None = None
    reward_external: float | None = None
    """Mean over the completions of others' groups, as scored here, 0..1."""
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
    """Peak of what PyTorch held on the accelerator since the start; null on a CPU."""
    limit: int | None = None
    """What the plan allows on the device; null without a limit."""


class Traffic(_Part):
    """Bodies of groups since the daemon started, in bytes. The DHT's own traffic is not in it."""

    pulled_bytes: int = 0
    served_bytes: int = 0


class ReachView(_Part):
    """How others reach this peer, and what it does as a relay. Counts begin when the daemon starts."""

    state: str = "unknown"
    """direct, punched (hole punching works), relayed, inline or unknown."""
    says: str = ""
    """The same in a sentence."""
    remedy: str = ""
    """What to do to be reached better; empty if there is nothing to do."""
    port: int = 0
    """The TCP port at which others knock."""
    seen_at: str = ""
    """The IP address at which most others see this peer; empty if it is not known."""
    opened: int = 0
    """Networks that knocked in the last half hour and were let in."""
    closed: int = 0
    """Networks that knocked in vain."""
    relays: tuple[str, ...] = ()
    """Peers that relay for this one."""
    ways: dict[str, int] = {}
    """direct, relay, inline (from the DHT) -> groups that others made and that came this way."""
    places: int = 0
    """Peers for which this one relays."""
    circuits: int = 0
    """Connections that it relays now."""
    relayed_bytes: int = 0
    relay_refused: int = 0
    """Requests for a place or a connection that were refused."""


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
    """Those with ten groups, by the lower bound of their interval, then the others; 256 at most."""
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
    """The newest; null before the first. `learning` has its past."""
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
    """Whether a person may answer in this peer's name: `swarmd play`, and the page's section of that name."""
    peers: tuple[PeerView, ...] = ()
    """The best known first, then those that are gone."""
    judgement: Judgement = Judgement()
    disk: Disk = Disk()
    version: str = __version__
    pid: int
    steps_per_minute: float | None = None
    tokens_per_s: float | None = None
    plan: tuple[str, ...] = ()
    """Why the peer runs its model as it does, one sentence per decision."""
    news: str | None = None
    """A newer version of the swarm, signed by its author, and how to join it; null if there is none."""
    sandbox: tuple[str, ...] = ()
    """The layers of the scorers' sandbox that this machine lacks, one line each; empty is best."""
    join_command: str | None = None
    """The command with which another machine joins through this peer."""
    swarm_view: SwarmView | None = None
    """Only of an observer; then what belongs to training is empty."""
    reward_history: tuple[float, ...] = ()
    """Mean reward of the most recent steps, oldest first: the curve on the status page."""
