"""How others reach this peer: whether they can dial it, and relays for peers that nobody can dial."""
