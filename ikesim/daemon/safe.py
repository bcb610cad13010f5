"""Text of peers, made safe for terminals. Light on imports."""


def escaped(text: str, limit: int = 500) -> str:
    """Text that a terminal shows and never obeys: control, format and other unprintable characters as escapes."""
    safe = "".join(part if part.isprintable() else part.encode("unicode_escape").decode("ascii") for part in text)
    return safe if len(safe) <= limit else f"{safe[: limit - 3]}..."
