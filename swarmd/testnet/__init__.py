"""`swarmd testnet`: a whole swarm on this machine, from one command and without containers.

It runs real daemons (`swarmd join`) on loopback, each with its own home and port, in the same `Fleet` as
`join --devices`. They are shown together, disturbed on request, and summed up at the end from what they wrote
in their homes. Holds no model and imports no torch.
"""
