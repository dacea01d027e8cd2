"""Digests that a record carries of itself, so that a change after it was written is seen.

A JSON object is sealed by a last field, `digest`: a hash of the text before that field and of the digest of what was
written before it. So the lines of a file are a chain, in which no line can be changed, swapped or taken out of the
middle unseen. It is no signature: who means to deceive can seal again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from hetal.errors import BadInput

if TYPE_CHECKING:  # torch takes seconds to import, which those who only read records need not wait for
    from hetal.record.schema import Purchase

CHANGED = "was changed after it was written"

_FIELD = b'"digest": "'
_END = re.compile(rb'([0-9a-f]{16})"\s*\}\s*')


def short_hash(*parts: bytes) -> str:
    """Return 16 hex digits of the SHA-256 of `parts`, told apart from any other way to cut the same bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:16]


def seal(text: str, previous: str) -> str:
    """Return the JSON object `text` with its digest as a last field, laid out as `text` is.

    Args:
        text: of an object with at least one field, on one line or indented by two.
        previous: the digest of what was written before it; what the first of a chain follows is up to the caller.
    """
    body = text.rstrip()[:-1].rstrip() + (",\n  " if "\n" in text.rstrip() else ", ")
    return f'{body}"digest": "{_digest(body.encode(), previous)}"' + ("\n}\n" if "\n" in body else "}")


def check_seal(text: bytes, previous: str) -> str:
    """Return the digest of a sealed object.

    Raises:
        BadInput: "was changed after it was written", or it was never sealed.
    """
    body, field, end = text.rpartition(_FIELD)
    found = _END.fullmatch(end)
    if not field or found is None:
        raise BadInput("has no digest")
    digest = found[1].decode()
    if digest != _digest(body, previous):
        raise BadInput(CHANGED)
    return digest


def queries_digests(purchases: Iterable[Purchase]) -> Iterable[str]:
    """Yield, for the start set and each round that follows, a hash of all rows bought up to there.

    The order of buying, the labels, the images shown and the noise flags count.

    Args:
        bought: on the CPU; numpy's arrays will do as well.
    """
    digest = hashlib.sha256()
    for purchase in purchases:
        digest.update(len(purchase.ids).to_bytes(8, "big"))
        for column in (purchase.ids, purchase.labels, purchase.source, purchase.is_noisy):
            digest.update(np.ascontiguousarray(column).data)
        yield digest.hexdigest()[:16]


def _digest(body: bytes, previous: str) -> str:
    return short_hash(previous.encode(), body)
