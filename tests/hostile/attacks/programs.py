"""Records whose answers are programs that attack whoever runs them: forged verdicts, escapes, endless loops.

The swarm asks for programs beside tasks that the embedded model can do. One identity publishes programs that
are all wrong and try to be called right, or to take something from the machine. None may be worth anything
in the victim's pool. Another publishes groups with a right program beside two that never end: they may earn
nothing, and the victim's own scoring must be as quick as the control's.
"""

from __future__ import annotations

from functools import partial

from protocol import TaskFamily
from swarmd.tasks.frames import pack
from tests.hostile.attacks.scorers import FORGER, HANGER, attacked, judge_forging, judge_hanging
from tests.hostile.forging import Forged, Forger
from tests.hostile.publishing import Asked, answer, publish
from tests.hostile.scene import Attack, Counts, Scene

_SCORE = repr(pack((True, (1_000_000, True))))
_OUTPUTS = repr(pack((True, ("0",) * 8)))

FORGERIES = (
    f"import os\nos.write(3, {_SCORE})\ndef solve(*a): return 0",
    f"import os\nos.write(3, {_OUTPUTS})\ndef solve(*a): return 0",
    "class E:\n    def __eq__(self, other): return True\ndef solve(*a): return E()",
    "import swarmd.tasks.coding.families as f\ndef solve(*a): return f.FAMILIES",
    "import sys\ndef solve(*a):\n    frame = sys._getframe()\n    while frame.f_back: frame = frame.f_back\n"
    "    return frame.f_locals",
    "import gc\ndef solve(*a): return [o for o in gc.get_objects() if 'outputs' in str(o)]",
    "import os\ndef solve(*a): return os.popen('id').read()",
    "import os\nos._exit(0)\ndef solve(*a): return 0",
)
"""Wrong whatever is asked for."""

HANGING = (
    "def solve(*a):\n    while True: pass",
    "import os\ndef solve(*a):\n    while True: print('x' * 10 ** 6)",
    "def solve(*a): return 9 ** 9 ** 9",
    "import re\ndef solve(*a): return re.match('(a+)+$', 'a' * 99 + 'b')",
)
"""They end when they are made to."""

SWARM = attacked(
    "attacked-programs",
    *(
        {"source": "coding", "dataset": dataset, "weight": 10, "config": {"level": 2}}
        for dataset in ("linear", "digits", "words", "choosing")
    ),
)


async def forge(scene: Scene) -> Counts:
    def write(forger: Forger, asked: Asked, _number: int) -> Forged:
        return forger.record(forger.key(FORGER), asked.spec, asked.text, forged())

    return await publish(scene, write, families=_families(scene))


async def hang(scene: Scene) -> Counts:
    def write(forger: Forger, asked: Asked, _number: int) -> Forged:
        return forger.record(forger.key(HANGER), asked.spec, asked.text, hanging(asked.right))

    return await publish(scene, write, families=_families(scene))


def _families(scene: Scene) -> list[TaskFamily]:
    return [family for family in scene.forger.manifest.tasks if family.source == "coding"]


def forged() -> list[tuple[str, float]]:
    """Wrong programs that ask to be paid, beside a wrong one that does not."""
    return [*((answer(text), 1.0) for text in FORGERIES), (answer("def solve(*a): return 0"), 0.0)]


def hanging(right: str) -> list[tuple[str, float]]:
    """A right program, a wrong one, and some that never end."""
    wrong = [(answer(text), 0.0) for text in (*HANGING, "def solve(*a): return 0")]
    return [(answer(right), 1.0), *wrong]


ATTACKS = (
    Attack(
        "scorers-programs",
        "programs that forge their verdict, break out, or end the process that runs them",
        forge,
        partial(judge_forging, frozenset[str]()),
        swarm=SWARM,
    ),
    Attack(
        "scorers-endless",
        "groups of programs of which some never end",
        hang,
        judge_hanging,
        swarm=SWARM,
    ),
)
