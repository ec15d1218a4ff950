"""What one peer costs in a swarm of 100, 1,000 and 10,000: `python -m benchmarks.scale`.

docs/scale.md says how, and has the latest results.
"""
