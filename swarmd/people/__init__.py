"""People as policies: a person answers what peers fail most, and the attempts become a group of this peer."""
