"""Bytes to payloads and back: the IKEv2 codec (RFC 7296 section 3). Does no I/O and keeps no state."""
