"""What a peer does in one step, for both the daemon and experiments.

It draws questions and makes own groups, offers them to other peers, verifies the groups that other peers
sent, draws external groups from the pool, evaluates the policy, and keeps the progress that a checkpoint
stores.

It runs no loop, owns no network, clock or database, and imports neither the daemon nor the experiments.
`gossip` decides what to exchange, `tasks` scores texts, and `learning` computes the gradient. Import the
modules by name: evaluation alone should not load torch.
"""
