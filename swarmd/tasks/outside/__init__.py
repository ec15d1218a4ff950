"""Environments from other packages as task sources: `textarena` and `verifiers`.

They run where every source runs, in the sandboxed worker, without files, network, tools or other players. An
environment that needs one of these is refused, with what it needs.
"""

BY_SEED_ALONE = "only its seed tells it from others: "
"""Prefix of the seed, in the hidden part of a question whose environment starts alike for every seed."""
