"""How the nodes of one run meet: in one process, over torch.distributed, or as a swarm of daemons."""
