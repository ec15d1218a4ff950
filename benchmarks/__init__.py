"""Compares one GRPO step of ours with well-known trainers. Runs from the repository; not installed.

`python -m benchmarks.trainer` compares time and memory. `python -m benchmarks.status` shows that a daemon
answers while it trains. docs/benchmarks.md has the latest results.
"""
