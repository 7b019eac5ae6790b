"""The users' contract: custom resources, wire formats and the permit record."""
