"""Seals: digests inside a record's files that reveal later changes.

A JSON object is sealed by its last field, `digest`: a hash of the text before that field and of the digest of the
object before it. The lines of a file thus form a hash chain: changing, swapping or removing a line in the middle is
detected. It is not a signature: anyone who wants to deceive can compute the digests again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from hetal.errors import BadInput

if TYPE_CHECKING:  # torch takes seconds to import, which readers of records do not need
    from hetal.record.schema import Purchase

CHANGED = "was changed after it was written"

_FIELD = b'"digest": "'
_END = re.compile(rb'([0-9a-f]{16})"\s*\}\s*')


def short_hash(*parts: bytes) -> str:
    """Return 16 hex digits of the SHA-256 of `parts` and their lengths."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:16]


def seal(text: str, previous: str) -> str:
    """Return the JSON object `text` with its digest as the last field, in the layout of `text`.

    Args:
        text: an object with at least one field, on one line or indented by two.
        previous: the digest of the object before it; for the first of a chain, any text that the caller chooses.
    """
    body = text.rstrip()[:-1].rstrip() + (",\n  " if "\n" in text.rstrip() else ", ")
    return f'{body}"digest": "{_digest(body.encode(), previous)}"' + ("\n}\n" if "\n" in body else "}")


def check_seal(text: bytes, previous: str) -> str:
    """Return the digest of a sealed object.

    Raises:
        BadInput: the object was changed after it was written, or has no digest.
    """
    body, field, end = text.rpartition(_FIELD)
    match = _END.fullmatch(end)
    if not field or match is None:
        raise BadInput("has no digest")
    digest = match[1].decode()
    if digest != _digest(body, previous):
        raise BadInput(CHANGED)
    return digest


def queries_digests(purchases: Iterable[Purchase]) -> Iterable[str]:
    """Yield, for the start set and each round, a hash of all rows bought up to and including it.

    It covers the order of the rows, their labels, images and noise flags.

    Args:
        purchases: on the CPU, as tensors or numpy arrays.
    """
    digest = hashlib.sha256()
    for purchase in purchases:
        digest.update(len(purchase.ids).to_bytes(8, "big"))
        for column in (purchase.ids, purchase.labels, purchase.source, purchase.is_noisy):
            digest.update(np.ascontiguousarray(column).data)
        yield digest.hexdigest()[:16]


def _digest(body: bytes, previous: str) -> str:
    return short_hash(previous.encode(), body)
