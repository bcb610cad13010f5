"""Algorithms by transform ID, the key schedule and signatures. Draws no randomness of its own."""
