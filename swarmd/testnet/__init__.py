"""`swarmd testnet`: a whole swarm on this machine, from one command and without containers.

Real daemons (`swarmd join`) on loopback, each with a home and a port of its own, run by the same `Fleet` as
`join --devices`. They are shown together, disturbed if asked, and summed up at the end from what they wrote
in their homes. Holds no model and imports no torch.
"""
