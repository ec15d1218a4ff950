"""One GRPO step of ours against the trainers people know: not installed with swarmd, run from the repository.

`python -m benchmarks.trainer` compares time and memory, `python -m benchmarks.status` shows that a daemon
answers while it trains. docs/benchmarks.md holds the last results.
"""
