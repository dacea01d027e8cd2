"""Check that the data of a finished run have not changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hetal.app.compose import build_experiment
from hetal.errors import BadInput
from hetal.machine.device import pick_device
from hetal.record.code import targets
from hetal.record.identity import data_files
from hetal.record.purchases import check_purchases
from hetal.record.reader import RESTART_HINT
from hetal.record.writer import Record


def check_data(config: Mapping[str, Any], record: Record) -> None:
    """Refuse a finished run whose data have changed since.

    Data that hetal's own loaders read are identified by content, or by file digests on record. Data from a user's own
    code are created again and compared.

    Args:
        config: the resolved config.
        record: of a finished run.

    Raises:
        BadInput: the data have changed, or cannot be created.
    """
    files = data_files(config)
    if changed := [name for name, digest in record.files.items() if files.get(name, digest) != digest]:
        raise BadInput(
            f"data.root={config['data']['root']}: {changed[0]} is not what it was when {record.dir} was made; "
            f"{RESTART_HINT}"
        )
    own = ("hetal.", "torchvision.")
    if all(target.startswith(own) for group in ("data", "noise") for target in targets(config[group])):
        return
    setup = build_experiment(config, record.choices["alg"]).prepare(pick_device("cpu", config["threads"]))
    if setup.fingerprint != record.data:
        raise BadInput(f"{record.dir} is finished, and was made of other data than these; {RESTART_HINT}")
    check_purchases(
        record.purchases,
        setup.oracle,
        setup.pool.source_N,
        setup.start_ids,
        record.source,
        setup.start_is_random,
    )
