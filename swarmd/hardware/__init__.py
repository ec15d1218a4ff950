"""What this machine has, how fast it is, and what fits: probe, rates, memory plan, limits and back-off.

Nothing is imported here: the parent process reads `cgroups` and loads only the standard library.
"""
