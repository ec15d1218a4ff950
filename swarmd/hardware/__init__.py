"""Determines what this machine has, how fast it is, and what fits: probe, rates, memory plan, limits, batch
sizes.

Nothing is imported here, because the parent process reads `cgroups` and loads only the standard library.
"""
