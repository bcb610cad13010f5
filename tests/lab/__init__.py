"""Tests of `ikesim.lab`."""
