"""What a peer does in one step, whoever drives it: the daemon or an experiment.

Drawing questions and making own groups, offering them to others, verifying what others sent, drawing external
groups from the pool, evaluating the policy, and the progress that a checkpoint holds.

It drives no loop, owns no network, clock or database, and imports neither the daemon nor the experiments.
What to exchange is decided in `gossip`, what a text is worth in `tasks`, and the gradient in `learning`.
Import its modules by name: evaluating alone should not load torch.
"""
