"""How the nodes of one run exchange groups: in one process, over torch.distributed, or as daemons."""
