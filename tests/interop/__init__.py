"""ikesim against Debian's strongSwan, each in a network namespace of its own."""
