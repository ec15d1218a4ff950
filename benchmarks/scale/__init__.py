"""What one peer costs in a swarm of 100, 1,000 and 10,000 peers: `python -m benchmarks.scale`.

docs/scale.md explains how this is measured, and has the latest results.
"""
