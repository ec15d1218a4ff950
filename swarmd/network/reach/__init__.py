"""How other peers reach this one: whether they can dial it, and relays for peers that cannot be dialled."""
