"""Whether a record and the data that it was made of still tell the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hetal.build import build
from hetal.code import targets
from hetal.contents import AGAIN, DAMAGED
from hetal.device import pick_device
from hetal.errors import BadInput
from hetal.identity import data_files
from hetal.pool import Oracle
from hetal.record import Record
from hetal.rounds import START, Bought
from hetal.setup import set_up


def check_purchases(
    bought: Sequence[Bought],
    oracle: Oracle,
    source_N: Tensor,
    start_ids: Tensor,
    where: Path = Path("queries.npz"),
) -> None:
    """Compare what a record says was bought with what the oracle sells.

    Args:
        bought: the start set, then the rows of each round.
        oracle: knows every label.
        source_N: (N,) int64, the image that each row of the pool shows.
        start_ids: (n_start,) int64, the start set as it is drawn.
        where: the file to name.

    Raises:
        BadInput: names the file, the round, and what is wrong.
    """
    source_N = source_N.cpu()
    seen = torch.zeros(len(source_N), dtype=torch.bool)
    for t, purchase in enumerate(bought, START):
        said = _wrong(purchase, oracle, source_N, seen)
        if said is None and t == START and not torch.equal(purchase.ids, start_ids.cpu()):
            said = f"holds other rows than the {len(start_ids)} that the seed draws"
        if said is not None:
            of = "the start set" if t == START else f"round {t}"
            raise BadInput(f"{where}: {of} {said}; {DAMAGED}")
        seen[purchase.ids] = True


def _wrong(purchase: Bought, oracle: Oracle, source_N: Tensor, seen_N: Tensor) -> str | None:
    """Say what is wrong with one purchase; None where nothing is."""
    ids = purchase.ids
    outside = (ids < 0) | (ids >= len(source_N))
    if outside.any():
        return f"holds row {int(ids[outside][0])}, which is not in 0..{len(source_N) - 1}"
    if len(ids.unique()) < len(ids) or seen_N[ids].any():
        return "holds a row that was bought before"
    for name, is_there, is_so in (
        ("label", purchase.labels, oracle.label(ids)),
        ("image", purchase.source, source_N[ids]),
        ("noise flag", purchase.is_noisy, oracle.is_noisy(ids)),
    ):
        if (differs := is_there != is_so).any():
            there, so = (column[differs][0].item() for column in (is_there, is_so))
            return f"says that row {int(ids[differs][0])} has {name} {there}; by the data it is {so}"
    return None


def check_data(config: Mapping[str, Any], record: Record) -> None:
    """Refuse to call a run finished whose data are no longer those that it was made of.

    What hetal's own settings read counts by content already, or lies in files whose digests are on record. What a
    user's own code makes is made again.

    Args:
        config: the resolved config.
        record: of a finished run.

    Raises:
        BadInput: the data are others, or cannot be made.
    """
    files = data_files(config)
    if changed := [name for name, digest in record.files.items() if files.get(name, digest) != digest]:
        raise BadInput(
            f"data.root={config['data']['root']}: {changed[0]} is not what it was when {record.dir} was made; {AGAIN}"
        )
    own = ("hetal.", "torchvision.")
    if all(target.startswith(own) for group in ("data", "noise") for target in targets(config[group])):
        return
    parts = build({**config, "tracker": None})
    setup = set_up(parts, record.choices["alg"], pick_device("cpu", parts["threads"]))
    if setup.fingerprint != record.data:
        raise BadInput(f"{record.dir} is finished, and was made of other data than these; {AGAIN}")
    check_purchases(
        record.bought, setup.oracle, setup.pool.source_N, setup.start_ids, record.dir / "queries.npz"
    )
