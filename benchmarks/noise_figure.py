"""A picture of every noise: `python -m benchmarks.noise_figure [NAME ...]`, all of them unless named.

Each is what `python -m hetal.noise NAME SETTINGS --out FILE` draws, at the settings below, in docs/figures/noise/. For
`human` and `votes`, whose labels by people hetal does not bring along, digits get labels by simulated people.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from hetal.data import load_digits
from hetal.errors import BadInput
from hetal.noise.show import corrupted_by, count, save_picture
from hetal.rng import stream
from tests.command_line import REPOSITORY, options

FOLDER = REPOSITORY / "docs" / "figures" / "noise"

# Settings by noise; hetal's own where there are none. As many rows are added as there are, so that both kinds are seen.
SETTINGS = {
    "ambiguous": ["mult=x1"],
    "asymmetric": ["noise.map=mnist", "noise.rate=0.4"],
    "blank": ["mult=x1"],
    "class": ["mult=x1"],
    "copies": ["data=four_moons", "mult=x1.5"],
    "diverse": ["mult=x1"],
    "instance": ["noise.rate=0.4"],
    "long_tail": ["noise.rho=50"],
    "mixed": ["noise.of=[symmetric,blank]", "noise.symmetric.rate=0.2", "mult=x1"],
    "near_copies": ["noise.sigma=32", "mult=x1"],
    "open_set": ["noise.share=0.4"],
    "pair": ["noise.rate=0.4"],
    "redundant": ["noise.copies=4", "noise.sigma=32"],
    "regional": ["noise.rate=0.4"],
    "symmetric": ["noise.rate=0.4"],
}

# These need labels by people.
BY_PEOPLE = ("human", "votes")


def draw(name: str, path: Path) -> None:
    """Write the picture of a noise.

    Args:
        name: of its YAML.
        path: PNG to write.

    Raises:
        BadInput: it refuses the data.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = [f"noise={name}", *SETTINGS.get(name, [])]
        data = []
        if name in BY_PEOPLE:
            data = ["data=npz", f"data.path={write_digits_with_people(Path(folder) / 'digits.npz')}"]
        made = corrupted_by(*words, *data)
        shown = [*words, *["data=npz data.path=digits.npz"] * bool(data)]
        save_picture(made, count(made.pool, made.oracle, made.task.n_classes), " ".join(shown), path)


def write_digits_with_people(path: Path) -> Path:
    """Write digits with the labels of simulated people, who see three principal components of a digit.

    Ten people each name the digit of one of its ten nearest neighbours; `human_worst` is one of them.
    """
    task = load_digits(n_train=None, mean=[77.83], std=[95.89], rng=stream(0, "data"))
    flat = task.train.images.flatten(1).double()
    seen = _components(flat, 3)
    distance = torch.cdist(seen, seen).fill_diagonal_(torch.inf)
    named = task.train.labels[distance.topk(10, largest=False).indices]
    votes = torch.zeros(len(named), 10).scatter_add_(1, named, torch.ones(named.shape))
    arrays = {
        "x_train": task.train.images, "y_train": task.train.labels, "x_test": task.test.images,
        "y_test": task.test.labels, "human_worst": named[:, 0], "votes_train": votes,
    }  # fmt: skip
    np.savez(path, **{key: value.numpy() for key, value in arrays.items()})
    return path


def _components(flat: torch.Tensor, n: int) -> torch.Tensor:
    centred = flat - flat.mean(0)
    return centred @ torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -n:]


def main(names: Sequence[str]) -> int:
    """Write the pictures of these noise settings, or of all; return the exit status."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    status = 0
    for name in names or options("noise"):
        path = FOLDER / f"{name}.png"
        try:
            draw(name, path)
        except BadInput as error:
            print(f"{name}: {error}", file=sys.stderr)
            status = 1
        else:
            print(f"{path.relative_to(REPOSITORY)}  {path.stat().st_size // 1024} KB")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
