"""What judges paid, next to the truth, for each run of an experiment with judges.

    python examples/judged_figures.py FOLDER

reward: what the judges gave own completions; truth: what the verifiers say about the same completions, which
rewarded nothing. Both are means over nodes, over the first ten and the last ten rounds. held-out: greedy
success by the verifiers before and after. Below each run the same by task: reward, and held-out success. If
the reward rises further than the truth, the judge has been hacked. Standard library only.
"""

import json
import sys
from pathlib import Path
from statistics import mean

ROUNDS = 10  # at each end; fewer rounds are mostly noise


def mean_of(lines, key):
    values = [line[key] for line in lines if line.get(key) is not None]
    return f"{mean(values):.3f}" if values else "  -  "


def by_task(first, end, before, after):
    for task in sorted({name for line in first + end for name in line.get("own_by_task", {})}):
        rewards = [
            mean_of([line["own_by_task"].get(task, {}) for line in some], "reward") for some in (first, end)
        ]
        exams = [mean_of([line["tasks"][task] for line in some], "success") for some in (before, after)]
        yield f"  {task:32} {'':6}  {' '.join(rewards)}                 {' '.join(exams)}"


def rows(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    nodes = [line for line in lines if line["kind"] == "node"]
    exams = [line for line in lines if line["kind"] == "held_out"]
    if not nodes or not exams:
        yield f"{path.parent.name:34}      0  not started"
        return
    last = max(line["round"] for line in nodes)
    first = [line for line in nodes if line["round"] < ROUNDS]
    end = [line for line in nodes if line["round"] > last - ROUNDS]
    before = [line for line in exams if line["round"] == 0]
    after = [line for line in exams if line["round"] == max(exam["round"] for exam in exams)]
    pairs = [(first, "reward_own"), (end, "reward_own"), (first, "truth_own"), (end, "truth_own")]
    pairs += [(before, "success"), (after, "success"), (before, "judged"), (after, "judged")]
    numbers = [mean_of(some, key) for some, key in pairs]
    columns = [f"{a} {b}" for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
    yield f"{path.parent.name:34} {last + 1:>6}  {'   '.join(columns)}"
    yield from by_task(first, end, before, after)


def main(folder):
    print(f"{'run':34} rounds  reward        truth         held-out      held-out by the judges")
    for path in sorted(Path(folder).glob("runs/*/rounds.jsonl")):
        print(*rows(path), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1])
