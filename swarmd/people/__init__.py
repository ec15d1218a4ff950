"""People as policies: a person answers questions that peers fail most, and the attempts become a group."""
