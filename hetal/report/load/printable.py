"""Text from records made safe to print: one line of printable characters, of bounded length."""

from __future__ import annotations

LONGEST = 300


def plain(value: object, most: int | None = LONGEST) -> str:
    """Return `value` as printable text: nothing in it moves a cursor, reverses a line or cannot be encoded.

    Args:
        value: any value of a record.
        most: the maximal number of characters; longer text ends in an ellipsis. None: no limit.
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
