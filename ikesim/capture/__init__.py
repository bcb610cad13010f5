"""What went over the wire: recording it, the keys that open it, and reading it again."""
