"""What a tracker shows of a run beside what its record says: running totals, sample images, plain settings."""

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
from hetal.record.measures import OF_A_ROUND
from hetal.record.reader import read_contents
from hetal.record.schema import Purchase, Round
from hetal.record.writer import Record

# Settings that people choose by name, and groups whose single values they sweep.
CHOSEN = ("alg", "data", "noise", "model", "train", "finetune")
SWEPT = ("alg", "noise", "model", "train", "finetune")
SHOWN = ("seed", "n_start", "n_query", "n_end")

CLEAN, NOISY = (0, 114, 178), (213, 94, 0)  # blue and orange, which nobody confuses
SIDE, FRAME = 64, 4  # pixels: what small images are enlarged to, and how wide their frames are


def settings(record: Record) -> dict[str, Any]:
    """Return the settings to filter and group runs by, as one flat mapping of plain values.

    `alg`, `data`, `noise`, `mult`, `model`, `train`, `finetune`, `seed`, `n_start`, `n_query`, `n_end`, `name`, and
    below them single values such as `train/lr`. Paths are not among them.
    """
    config = record.settings
    return {
        **{group: record.choices[group] for group in CHOSEN if group in record.choices},
        "mult": config["noise"].get("factor", 0),
        **{key: record.config[key] for key in SHOWN},
        "name": record.config["name"],
        **{key: value for group in SWEPT for key, value in _leaves(config[group], group)},
        **dict(_leaves(config["data"].get("n_train"), "data/n_train")),
    }


def history(row: Round, bought: list[Purchase], base_rate: float) -> dict[str, Any]:
    """Return the plain numbers to show of a round.

    Args:
        row: the round.
        bought: the start set and all purchases up to and with this round's.
        base_rate: the pool's share of clean rows.

    Returns:
        The numbers of `row` under their own names, those of `seconds` as `seconds/train` and so on;
        `clean_share_so_far` and `n_distinct_so_far` of all queried rows, the start set left out; `base_rate`.
    """
    shown = [measure for measure in OF_A_ROUND if "tracker" in measure.shown]
    values = {measure.key: value for measure in shown if (value := measure.value(vars(row))) is not None}
    if row.n_bought:
        queried = bought[1:]
        is_noisy = torch.cat([purchase.is_noisy for purchase in queried])
        values["clean_share_so_far"] = 1 - float(is_noisy.double().mean())
        values["n_distinct_so_far"] = len(torch.cat([purchase.source for purchase in queried]).unique())
    return {**values, "base_rate": base_rate}


def summary_values(record: Record, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers to show of a finished run: its summary, and `labels_to_reach_random` where that is known."""
    flat = {key: value for key, value in summary.items() if isinstance(value, (int, float))}
    flat |= {f"total_seconds/{phase}": seconds for phase, seconds in summary["seconds"].items()}
    reached = labels_to_reach_random(record)
    return flat if reached is None else {**flat, "labels_to_reach_random": reached}


def labels_to_reach_random(record: Record) -> int | None:
    """Return the fewest labels a network of this run was trained on that is as accurate as random choice's last.

    Random choice is the run of `alg=random` in the same study, with the same seed and settings. What a strategy
    brings with it, `alg` and `train.own_ema`, may differ.

    Returns:
        None where that run is not there or not finished, or where its last accuracy is not reached.
    """
    target = record.rounds[-1].accuracy if record.choices["alg"] == "random" else _random_end(record)
    if target is None:
        return None
    return next((row.n_labelled for row in record.rounds if row.accuracy >= target), None)


def sample(purchase: Purchase, images_M: Tensor, n: int) -> list[tuple[Image.Image, str]]:
    """Draw `n` of the rows bought, at equal steps through the order of buying.

    Args:
        purchase: not empty.
        images_M: (M, C, H, W) of one or three channels; uint8, or floats whose range over all images is shown.
        n: how many at most.

    Returns:
        For each a picture, framed in blue where its label is clean and in orange where it is
        noise, and the words for that.
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
        pictures.append((picture, f"label {label}, {'noisy' if noisy else 'clean'}"))
    return pictures


def are_pictures(images_M: Tensor) -> bool:
    """Tell whether examples can be shown: (M, C, H, W) of one or three channels."""
    return images_M.dim() == 4 and images_M.shape[1] in (1, 3)


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the plain values below a node of the config; of a function in it, its name is left out."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if not key.startswith("_"):
                yield from _leaves(value, f"{path}/{key}")
    elif node is not None:
        yield path, node


def _random_end(record: Record) -> float | None:
    """Return the last accuracy of the finished run of random choice beside this one; None where there is none."""
    _, rest = record.title.split(" ", 1)
    pattern = glob.escape("-".join(["random", *rest.split(" ")]))
    mine = _but_strategy(record.settings, record.config)
    found: dict[bool, float] = {}
    for path in sorted(record.dir.parent.glob(f"{pattern}-*/summary.json")):
        with suppress(BadInput, OSError, LookupError, TypeError, yaml.YAMLError):
            config = yaml.load((path.parent / ".hydra/config.yaml").read_bytes(), Loader=_LOADER)
            contents = read_contents(path.parent)
            if contents.about is None or contents.summary is None:
                continue
            if _but_strategy(contents.about.settings, config) == mine:
                choices = contents.about.choices
                if all(choices.get(group) == record.choices.get(group) for group in CHOSEN[1:]):
                    theirs, ours = (
                        of["train"].get("own_ema") for of in (contents.about.settings, record.settings)
                    )
                    found[theirs == ours] = float(contents.summary["final_accuracy"])
    return found.get(True, found.get(False))


def _but_strategy(settings: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{key: value for key, value in settings.items() if key != "alg"},
        "n_end": config["n_end"],
        "train": {key: value for key, value in settings["train"].items() if key != "own_ema"},
    }


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
