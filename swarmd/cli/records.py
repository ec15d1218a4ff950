"""`swarmd records`: look at the records in a home, and export one for others to verify.

It only reads the home, so it works next to a running daemon.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from protocol import (
    RECORD_BYTES_MAX,
    RECORD_DOMAIN,
    AnyCompletion,
    AnyRecord,
    Manifest,
    PeerId,
    Reason,
    RejectedRecord,
    digest_of,
    open_record,
    verify_record,
)
from protocol.limits import MICRO
from swarmd.cli.drawing import drawing
from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.cli.peer_table import short_age
from swarmd.cli.picture import print_images
from swarmd.config import load_config
from swarmd.errors import ConfigError, SwarmdError
from swarmd.names import name_of, named
from swarmd.observe import printable
from swarmd.quoting import quoted
from swarmd.storage import BlobStore, Home
from swarmd.tasks.judge_rules import judges_of
from swarmd.tasks.outcomes import Question, Score
from swarmd.tasks.prompt import transcript
from swarmd.tasks.rewards import RewardRule

LISTED = 20  # records shown by default: one screen
LISTED_MAX = 1_000_000  # more than the 256 MiB of records that a home keeps
DIGEST = re.compile(r"[0-9a-f]{0,64}")
SHOWN_HEX = 16  # characters of a digest: no two records share that many

app = typer.Typer(help="List, show, export and verify the records in a home.", no_args_is_help=True)

Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="Digest in hex, or its first characters.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A file with the signed envelope of one record.")]


@dataclass(frozen=True)
class Authentic:
    """A record with a valid signature. Its swarm, time, question and rewards are not checked."""

    record: AnyRecord
    publisher: PeerId
    digest: bytes
    envelope: bytes

    @property
    def reward_mean(self) -> float:
        """As the publisher scored it, 0..1."""
        completions = self.record.completions
        return sum(completion.reward_micro for completion in completions) / MICRO / len(completions)


@app.command("list")
def list_records(
    home: HomeOption = DEFAULT_HOME,
    own: Annotated[bool, typer.Option("--own", help="Show only records of this peer.")] = False,
    others: Annotated[bool, typer.Option("--others", help="Show only records of other peers.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=LISTED_MAX, help="Number of records to show.")
    ] = LISTED,
) -> None:
    """List the newest records, own and external."""
    if own and others:
        raise ConfigError("--own and --others leave nothing to show: give one of them, or neither for both")
    records = _Records(home)
    digest = Column("digest", min_width=SHOWN_HEX, no_wrap=True)  # never truncated, because people copy it
    by, step, reward, age = (Column(name, no_wrap=True) for name in ("by", "step", "reward", "age"))
    # Only the task column may shrink, so that all columns fit 80 characters.
    table = Table(digest, by, step, "task", reward, age, box=None, pad_edge=False, padding=(0, 1))
    for record in records.newest(limit, own=not others, others=not own):
        content = record.record
        table.add_row(
            record.digest.hex()[:SHOWN_HEX],
            "this peer" if record.publisher == records.peer_id else named(record.publisher),
            str(content.step),
            Text(printable(content.task.dataset), no_wrap=True, overflow="ellipsis"),
            f"{record.reward_mean:.3f}",
            short_age(time.time() - content.created),
        )
    none = "no records of other peers yet" if others else "no records yet"
    Console().print(table if table.row_count else Text(none, style="dim"))


@app.command("show")
def show(digest: Digest, home: HomeOption = DEFAULT_HOME) -> None:
    """Show one record: the question, regenerated here, and each completion with both rewards."""
    records = _Records(home)
    record = records.find(digest)
    _print_head(record)
    question, scores = asyncio.run(_regenerate(record.record, records.reward))
    judges = judges_of(record.record.task.config)
    if judges:
        names = ", ".join(map(str, judges))
        typer.echo(f"judges   {names}: rewards differ from peer to peer; the verifier's are shown here")
    same = question.digest == record.record.question_digest
    matches = "as signed" if same else "NOT the one signed"
    console = Console(highlight=False)
    console.print(Text(f"question ({matches})", style="bold"))
    console.print(_lines(question.text), soft_wrap=True)
    print_images(console, question.images)
    completions: Sequence[AnyCompletion] = record.record.completions
    for number, completion in enumerate(completions, start=1):
        mine, turns = scores[number - 1], completion.turns
        theirs = completion.reward_micro / MICRO
        by = "by the verifier here" if judges else "here"
        head = f"completion {number}: reward {theirs:.3f} by its publisher, {mine.reward:.3f} {by}"
        console.print(Text(head if turns[-1].finished else f"{head}, cut off", style="bold"))
        said = mine.observations if len(mine.observations) == len(turns) - 1 else ("?",) * (len(turns) - 1)
        console.print(_lines(transcript([turn.text for turn in turns], said)), soft_wrap=True)
        if (drawn := drawing(turns[-1].text)) is not None:
            console.print(drawn)


@app.command("export")
def export(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write the envelope to.")],
    digest: Annotated[
        str | None,
        typer.Argument(metavar="DIGEST", help="Record to export. (default: the newest own one)"),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Write a record's signed envelope verbatim, for `verify` or any libp2p implementation to check."""
    records = _Records(home)
    record = records.newest_own() if digest is None else records.find(digest)
    try:
        out.write_bytes(record.envelope)
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {error.strerror}; name another file") from error
    typer.echo(f"{out}: {len(record.envelope)} bytes, digest {record.digest.hex()}, domain {RECORD_DOMAIN!r}")


@app.command("verify")
def verify(file: File, home: HomeOption = DEFAULT_HOME) -> None:
    """Verify an exported record: its signature, its form and, if the home has a swarm, that swarm's rules.

    This does not check the question or the rewards. `records show` regenerates and scores them.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(RECORD_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read: {error.strerror}; name a file that `swarmd records export` wrote"
        ) from error
    manifest = Home(home_path(home)).manifest()
    try:
        record = authenticate(data)
        typer.echo(f"{file}: signed by {record.publisher}")
        _print_head(record)
        _check_swarm(record, manifest)
    except RejectedRecord as error:
        raise SwarmdError(f"{file} is not a valid record: {error}") from error


def authenticate(envelope: bytes) -> Authentic:
    """Check size, envelope, signature and form. Raises RejectedRecord."""
    record, publisher = open_record(envelope)
    return Authentic(record, publisher, digest_of(envelope), envelope)


def _check_swarm(record: Authentic, manifest: Manifest | None) -> None:
    """Run the checks that need a manifest, as of the record's time: an exported record has often expired
    since.
    """
    if manifest is None:
        typer.echo("swarm    not checked: this home has no swarm yet")
        return
    verify_record(record.envelope, manifest=manifest, now=record.record.created)
    typer.echo(f"swarm    {printable(manifest.name)}: allowed there")
    try:
        verify_record(record.envelope, manifest=manifest, now=time.time())
    except RejectedRecord as error:
        if error.reason not in (Reason.EXPIRED, Reason.CLOCK):
            raise
        typer.echo(f"note     peers would reject it now: {error}")


class _Records:
    """The records of one home, read-only."""

    def __init__(self, path: Path) -> None:
        self._home = Home.existing(home_path(path))
        self.peer_id = self._home.key().peer_id
        config = load_config(self._home.path, {})
        manifest = self._home.manifest()
        self.reward: RewardRule = "exact" if manifest is None else manifest.reward
        self._store = BlobStore(self._home.records_path, config.storage.records_bytes_max)

    def newest(self, limit: int, *, own: bool = True, others: bool = True) -> list[Authentic]:
        """Return the newest `limit` records, of this peer if `own`, and of others if `others`."""
        found: list[Authentic] = []
        for digest in self._store.digests():
            record = self._read(digest)
            if record is not None and (own if record.publisher == self.peer_id else others):
                found.append(record)
            if len(found) == limit:
                break
        return found

    def newest_own(self) -> Authentic:
        found = self.newest(1, others=False)
        if not found:
            raise ConfigError(f"{self._home.path} has no own record yet: the first step makes one")
        return found[0]

    def find(self, prefix: str) -> Authentic:
        wanted = prefix.lower()
        if not DIGEST.fullmatch(wanted):
            raise ConfigError(
                f"{quoted(prefix)} is not a digest: give up to 64 characters of 0-9 and a-f, as `swarmd "
                "records list` shows them"
            )
        matching = [digest for digest in self._store.digests() if digest.hex().startswith(wanted)]
        if len(matching) > 1:
            raise ConfigError(f"{len(matching)} records begin with {quoted(prefix)}: give more characters")
        record = self._read(matching[0]) if matching else None
        if record is None:
            raise ConfigError(
                f"{self._home.path} has no record {quoted(prefix)}: `swarmd records list` shows them"
            )
        return record

    def _read(self, digest: bytes) -> Authentic | None:
        """Return a record; None if a running daemon has just deleted it, or if this version cannot read
        it.
        """
        envelope = self._store.get(digest)
        try:
            return None if envelope is None else authenticate(envelope)
        except RejectedRecord:
            return None


def _print_head(record: Authentic) -> None:
    content = record.record
    made = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(content.created))
    typer.echo(f"digest   {record.digest.hex()}")
    typer.echo(f"by       {name_of(record.publisher)} {record.publisher}")
    typer.echo(f"policy   {printable(content.model)} at step {content.step}")
    typer.echo(f"made     {made}, in round {content.round} of swarm {content.swarm.hex()[:12]}")
    typer.echo(f"task     {printable(content.task.source)}/{printable(content.task.dataset)}")
    mean = f"mean reward {record.reward_mean:.3f} by its publisher"
    typer.echo(f"group    {len(content.completions)} completions, {mean}")


async def _regenerate(record: AnyRecord, reward: RewardRule) -> tuple[Question, list[Score]]:
    """Return the question and each completion's score here. Raises SwarmdError."""
    from swarmd.tasks import TaskFailure, TaskRunner, written

    async with TaskRunner(reward=reward) as runner:
        (question,) = await runner.questions([record.task])
        if isinstance(question, TaskFailure):
            raise SwarmdError(
                f"the question cannot be regenerated here ({question.reason}): {question.detail}"
            )
        (scores,) = await runner.score([(record.task, list(map(written, record.completions)))])
    return question, scores


def _lines(text: str) -> Text:
    return Text("\n".join(f"  {printable(line)}" for line in text.split("\n")))
