"""The IKEv2 protocol as a sans-IO core: bytes and time go in, bytes and events come out."""
