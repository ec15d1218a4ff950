"""Environments of other packages as sources of tasks: `textarena` and `verifiers`.

They run where every source runs, in the sandboxed worker: without files, network, tools and other players.
What needs one of them is refused with its name.
"""

BY_SEED_ALONE = "only its seed tells it from others: "
"""Before the seed, in what is hidden in a question of an environment that begins alike whatever the seed."""
