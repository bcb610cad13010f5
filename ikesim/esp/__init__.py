"""ESP packets, replay windows and the in-memory inner host (RFC 4303)."""
