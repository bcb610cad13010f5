"""ikesim: an IKEv2 laboratory for certificate authentication."""

__version__ = "0.1.0"
