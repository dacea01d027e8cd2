"""Text from records as it may be shown: one line of printable characters, of bounded length."""

from __future__ import annotations

LONGEST = 300


def plain(value: object, most: int | None = LONGEST) -> str:
    """Return `value` as text in which nothing moves a cursor, turns a line around, or cannot be encoded.

    Args:
        value: of a record.
        most: characters, of longer texts the rest is left out, and marked so; None leaves nothing out.
    """
    try:
        text = str(value)
    except (ValueError, RecursionError):  # a number of too many digits, or lists within lists
        text = f"<{type(value).__name__}>"
    if most is not None and len(text) > most:
        text = text[: most - 1] + "\u2026"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
