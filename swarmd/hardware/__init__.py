"""What this machine has, how fast it is, and what fits: probe, rates, memory plan, limits, smaller batches.

Nothing is imported here: the parent process reads `cgroups` and loads only the standard library.
"""
