"""What a tracker shows of a run: metrics with running totals, sample images, and flat settings."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import torch
import yaml
from PIL import Image, ImageOps
from torch import Tensor

from hetal.errors import BadInput
from hetal.record.identity import in_folder
from hetal.record.measures import OF_A_ROUND, shown_in
from hetal.record.reader import read_contents
from hetal.record.schema import REJECT, Purchase, Round
from hetal.record.writer import Record

# Config groups shown by the name of the chosen option, groups whose single values are shown too, and plain settings.
GROUPS = ("alg", "data", "noise", "oracle", "model", "optimizer", "schedule", "train", "finetune", "start")
GROUPS_WITH_VALUES = ("alg", "noise", "oracle", "model", "optimizer", "schedule", "train", "finetune")
PLAIN_SETTINGS = ("seed", "n_start", "n_query", "n_end")

# Settings of `train` that come with a strategy: the YAML of lhd_published sets them.
OF_STRATEGY = ("own_ema", "ema_on_batches", "falls_over_restarts", "finetune_at_snapshot")

CLEAN, NOISY = (0, 114, 178), (213, 94, 0)  # blue and orange, distinct for colour-blind readers too
SIDE, FRAME = 64, 4  # pixels: side that small images are enlarged to, and width of their frames


def settings(record: Record) -> dict[str, Any]:
    """Return the settings to filter and group runs by, as a flat mapping of plain values.

    They are `alg`, `data`, `noise`, `oracle`, `model`, `optimizer`, `schedule`, `train`, `finetune`, `start`, `seed`,
    `n_start`, `n_query`, `n_end`, `name`, single values such as `optimizer/lr`, and `mult` where the noise has a
    factor. Paths are left out.
    """
    config = record.settings
    return {
        **{group: record.choices[group] for group in GROUPS if group in record.choices},
        "alg": record.strategy,
        **dict(_leaves(config["noise"].get("factor"), "mult")),
        **{key: record.config[key] for key in PLAIN_SETTINGS},
        "name": record.config["name"],
        **{key: value for group in GROUPS_WITH_VALUES for key, value in _leaves(config[group], group)},
        **dict(_leaves(config["data"].get("n_train"), "data/n_train")),
    }


def history(
    row: Round, purchases: list[Purchase], base_rate: float, pool: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the numbers to show of a round.

    Args:
        row: the round.
        purchases: the start set, then the purchases up to and including this round's.
        base_rate: the pool's share of clean rows.
        pool: what the pool holds, see `hetal.record.schema.PoolContent`.

    Returns:
        The numbers of `row` by field name, `seconds/train` and so on for `seconds`, `measures/NAME` for measures of the
        user's own; `clean_share_so_far` and
        `n_distinct_so_far` of all rows that queries bought (without the start set); `base_rate`. Where all rows of the
        pool are clean, there is no share of clean ones; where it is known of the pool that they say nothing else than
        these, no `right_share` and no `n_rejected`; and only where its noise is of several kinds, there are
        `bought_per_kind/clean` and so on.
    """
    pool = pool or {}
    kinds = {kind: n for kind, n in pool.get("kinds", {}).items() if n}
    is_clean = base_rate == 1
    silent = {
        *(["clean_share"] if is_clean else []),
        *(["right_share"] if pool and pool.get("right") == kinds.get("clean", 0) else []),
        *(["n_rejected"] if pool and not pool.get("rejected") else []),
    }
    values = {
        measure.key: value
        for measure in shown_in("tracker", OF_A_ROUND)
        if measure.key not in silent and (value := measure.value(vars(row))) is not None
    }
    values |= {f"measures/{name}": value for name, value in (row.measures or {}).items()}
    if len(kinds) > 2 and row.bought_per_kind is not None:
        values |= {f"bought_per_kind/{kind}": row.bought_per_kind.get(kind, 0) for kind in kinds}
    if row.n_bought:
        queried = purchases[1:]
        is_noisy = torch.cat([purchase.is_noisy for purchase in queried])
        if not is_clean:
            values["clean_share_so_far"] = 1 - float(is_noisy.double().mean())
        values["n_distinct_so_far"] = len(torch.cat([purchase.source for purchase in queried]).unique())
    return values if is_clean else {**values, "base_rate": base_rate}


def summary_values(record: Record, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers to show of a finished run: its summary and, if known, `labels_to_reach_random`."""
    flat = {key: value for key, value in summary.items() if isinstance(value, (int, float))}
    flat |= {f"total_seconds/{phase}": seconds for phase, seconds in summary["seconds"].items()}
    n_labels = labels_to_reach_random(record)
    return flat if n_labels is None else {**flat, "labels_to_reach_random": n_labels}


def labels_to_reach_random(record: Record) -> int | None:
    """Return the fewest labels with which this run reaches the final accuracy of random choice.

    Random choice is the run of `alg=random` in the same study, with the same seed and settings, save those of
    `train` that come with the strategy.

    Returns:
        None if that run is absent or not finished, or if its accuracy is not reached.
    """
    target = (
        record.rounds[-1].accuracy if record.choices["alg"] == "random" else _random_final_accuracy(record)
    )
    if target is None:
        return None
    return next((row.n_labelled for row in record.rounds if row.accuracy >= target), None)


def sample(purchase: Purchase, images_M: Tensor, n: int) -> list[tuple[Image.Image, str]]:
    """Return pictures of `n` of the rows bought, at equal steps through the order of buying.

    Args:
        purchase: not empty.
        images_M: (M, C, H, W) of one or three channels; uint8, or floats, scaled by their range over all images.
        n: the maximum number.

    Returns:
        A picture, framed in blue if its label is clean and in orange if it is noise, and its caption, for each.
    """
    at = torch.linspace(0, len(purchase.ids) - 1, min(n, len(purchase.ids))).round().long()
    shown = images_M[purchase.source[at].to(images_M.device)]
    if shown.is_floating_point():
        low, high = images_M.aminmax()
        shown = (shown - low) / (high - low).clamp(min=1e-12) * 255
    pixels = shown.to(torch.uint8).cpu().permute(0, 2, 3, 1).expand(-1, -1, -1, 3)
    times = max(1, SIDE // max(pixels.shape[1:3]))
    pixels = pixels.repeat_interleave(times, 1).repeat_interleave(times, 2)
    pictures = []
    for inner, label, noisy in zip(
        pixels, purchase.labels[at].tolist(), purchase.is_noisy[at].tolist(), strict=True
    ):
        picture = ImageOps.expand(Image.fromarray(inner.numpy()), FRAME, NOISY if noisy else CLEAN)
        kind = "noisy" if noisy else "clean"
        pictures.append((picture, "rejected" if label == REJECT else f"label {label}, {kind}"))
    return pictures


def are_pictures(images_M: Tensor) -> bool:
    """Return whether examples can be shown as pictures: (M, C, H, W) of one or three channels."""
    return images_M.dim() == 4 and images_M.shape[1] in (1, 3)


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the plain values below a node of the config with their paths; `_target_` and the like are left out."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if not key.startswith("_"):
                yield from _leaves(value, f"{path}/{key}")
    elif node is not None:
        yield path, node


def _random_final_accuracy(record: Record) -> float | None:
    """Return the final accuracy of the run of random choice that belongs to this run; None if there is none."""
    rest = record.dir.name.removeprefix(in_folder(record.choices["alg"])).removesuffix(record.hash)
    pattern = glob.escape(f"random{rest}")
    settings = _without_strategy(record.settings, record.config)
    accuracies: dict[bool, float] = {}
    for path in sorted(record.dir.parent.glob(f"{pattern}*/summary.json")):
        with suppress(BadInput, OSError, LookupError, TypeError, yaml.YAMLError):
            config = yaml.load((path.parent / ".hydra/config.yaml").read_bytes(), Loader=_LOADER)
            contents = read_contents(path.parent)
            if contents.about is None or contents.summary is None:
                continue
            if _without_strategy(contents.about.settings, config) == settings:
                choices = contents.about.choices
                if all(choices.get(group) == record.choices.get(group) for group in GROUPS[1:]):
                    theirs, ours = (
                        [run_settings["train"].get(key) for key in OF_STRATEGY]
                        for run_settings in (contents.about.settings, record.settings)
                    )
                    accuracies[theirs == ours] = float(contents.summary["final_accuracy"])
    return accuracies.get(True, accuracies.get(False))


def _without_strategy(settings: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{key: value for key, value in settings.items() if key != "alg"},
        "n_end": config["n_end"],
        "train": {key: value for key, value in settings["train"].items() if key not in OF_STRATEGY},
    }


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
