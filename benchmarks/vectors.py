"""Makes the vectors of docs/RESULTS.md from public data, as .npz files for `data=features`.

`python -m benchmarks.vectors cifar10 OUT.npz` reads CIFAR-10 as torchvision has it (`--root`, downloaded where it is
missing), and with `--human CIFAR-10_human.pt` (https://github.com/UCSC-REAL/cifar-10-100n) the labels that people gave,
as human_worst and so on. An image becomes 256 numbers without any label, after Coates, Ng and Lee (AISTATS 2011):
filters by k-means on whitened 6x6 patches, responses z = max(0, mean distance - distance) of every patch, sums over the
quadrants, and the principal components of the training images. Departures: filters come in mirrored pairs, and sums are
taken so that an image and its mirror image get the same vector; components keep their scale.

`python -m benchmarks.vectors clinc150 data_full.json OUT.npz` reads CLINC150 (https://github.com/clinc/oos-eval). A
text becomes the mean of 256 numbers a token, the static vectors that the wheel `wordllama` (0.4.0) brings: `pip install
--no-deps wordllama tokenizers safetensors`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import unfold

SIZE = 6
STEPS = 32 - SIZE + 1
# Names of ours for the arrays of CIFAR-10_human.pt.
HUMAN = {
    "human_aggregate": "aggre_label",
    "human_worst": "worse_label",
    **{f"human_random{i}": f"random_label{i}" for i in (1, 2, 3)},
}


def mirrored(patches: Tensor) -> Tensor:
    """Return patches, (n, 3 * SIZE * SIZE), with left and right exchanged."""
    return patches.view(-1, 3, SIZE, SIZE).flip(3).flatten(1)


def normalised(patches: Tensor) -> Tensor:
    """Return patches of mean 0 and, up to a constant that keeps plain ones small, deviation 1."""
    patches = patches - patches.mean(-1, keepdim=True)
    return patches / (patches.square().mean(-1, keepdim=True) + 10).sqrt()


class Filters:
    """Pairs of mirrored k-means centres of whitened patches, and what they respond to an image."""

    def __init__(self, images: Tensor, n_pairs: int, rng: torch.Generator, n_patches: int = 200_000) -> None:
        """Learn them from random patches of uint8 images, (n, 3, 32, 32)."""
        windows = images.unfold(2, SIZE, 1).unfold(3, SIZE, 1)
        row, column = torch.randint(STEPS, (2, n_patches), generator=rng)
        image = torch.randint(len(images), (n_patches,), generator=rng)
        patches = normalised(windows[image, :, row, column].flatten(1).float())
        # Of patches and mirrored ones, so that the mirror image of a whitened patch is the whitened mirror image.
        both = torch.cat([patches, mirrored(patches)]).double()
        self.mean = both.mean(0).float()
        values, axes = torch.linalg.eigh(torch.cov(both.T, correction=0))
        self.whitening = (axes / (values + 0.1).sqrt() @ axes.T).float()
        self.centres = self._clustered((patches - self.mean) @ self.whitening, n_pairs, rng)

    def _clustered(self, x: Tensor, n_pairs: int, rng: torch.Generator, n_iterations: int = 12) -> Tensor:
        centres = x[torch.randperm(len(x), generator=rng)[:n_pairs]]
        for _ in range(n_iterations):
            pair = torch.cat([centres, mirrored(centres)])
            total, count = torch.zeros_like(centres), torch.zeros(n_pairs)
            for part in x.split(2000):
                nearest = (part @ pair.T - pair.square().sum(1) / 2).argmax(1)
                turned = torch.where((nearest < n_pairs)[:, None], part, mirrored(part))
                total.index_add_(0, nearest % n_pairs, turned)
                count += torch.bincount(nearest % n_pairs, minlength=n_pairs)
            fresh = x[torch.randint(len(x), (n_pairs,), generator=rng)]  # where a cluster is empty
            centres = torch.where((count > 0)[:, None], total / count.clamp(min=1)[:, None], fresh)
        return torch.cat([centres, mirrored(centres)])

    def __call__(self, images: Tensor) -> Tensor:
        """Return (n, 4 * n_pairs): by height, and by whether a filter or its mirror image is on its own side."""
        # What is in the middle counts half on either side.
        half = torch.tensor([[1.0] * 13 + [0.5] + [0.0] * 13, [0.0] * 13 + [0.5] + [1.0] * 13])
        quadrants = torch.einsum("ay,bx->abyx", half, half).flatten(2).flatten(0, 1)
        norm = self.centres.square().sum(1)
        vectors = []
        for image in images:
            x = (normalised(unfold(image[None].float(), SIZE)[0].T) - self.mean) @ self.whitening
            distance = torch.addmm(norm, x, self.centres.T, alpha=-2) + x.square().sum(1, keepdim=True)
            distance = distance.clamp_(min=0).sqrt_()
            response = (distance.mean(1, keepdim=True) - distance).clamp_(min=0)
            left, right = (
                (quadrants @ response).view(2, 2, 2, -1).unbind(1)
            )  # by height, filter or mirror image
            vectors.append(torch.stack([left[:, 0] + right[:, 1], right[:, 0] + left[:, 1]]).flatten())
        return torch.stack(vectors)


def principal(train: Tensor, test: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return the first components of both, by the covariance of standardised train; train's mean square is 1."""
    mean, std = train.mean(0), train.std(0) + 0.01
    train, test = (train - mean) / std, (test - mean) / std
    axes = torch.linalg.eigh(train.double().T @ train.double())[1][:, -width:].flip(1).float()
    scale = (train @ axes).square().mean().sqrt()
    return train @ axes / scale, test @ axes / scale


def cifar10(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arrays of CIFAR-10's vectors."""
    if args.images:
        with np.load(args.images) as file:
            arrays = {name: file[name] for name in file.files}
    else:
        from torchvision.datasets import CIFAR10

        arrays = {}
        for part in ("train", "test"):
            data = CIFAR10(args.root, train=part == "train", download=True)
            arrays |= {f"x_{part}": data.data.transpose(0, 3, 1, 2), f"y_{part}": np.array(data.targets)}
    n = args.rows or len(arrays["x_train"])
    if args.human:
        with torch.serialization.safe_globals([
            np.ndarray, np.dtype, np._core.multiarray._reconstruct, type(np.dtype(np.int64)),
        ]):  # fmt: skip
            human = torch.load(args.human, weights_only=True)
        if not np.array_equal(human["clean_label"], arrays["y_train"]):
            raise SystemExit(f"{args.human}: its clean labels are not those of the training images")
        arrays |= {ours: np.asarray(human[theirs]) for ours, theirs in HUMAN.items()}
    torch.set_num_threads(1)  # as many as hetal's runs have: their number changes the order of sums
    x_train, x_test = (
        torch.from_numpy(np.ascontiguousarray(arrays[f"x_{part}"])) for part in ("train", "test")
    )
    # Evenly over the set, which may be in order of its classes.
    chosen = torch.linspace(0, len(x_test) - 1, args.test_rows or len(x_test)).round().long()
    x_train, x_test, y_test = x_train[:n], x_test[chosen], arrays["y_test"][chosen]
    filters = Filters(x_train, args.pairs, torch.Generator().manual_seed(0))
    x_train, x_test = principal(filters(x_train), filters(x_test), 256)
    labels = {name: labels[:n] for name, labels in arrays.items() if name in {"y_train", *HUMAN}}
    return {"x_train": x_train.numpy(), "x_test": x_test.numpy(), "y_test": y_test, **labels}


def clinc150(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arrays of CLINC150's vectors; intents are texts, and those of no intent are left out."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    found = importlib.util.find_spec("wordllama")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("clinc150 needs wordllama: pip install --no-deps wordllama tokenizers safetensors")
    wheel = Path(found.submodule_search_locations[0])
    table = load_file(wheel / "weights" / "l2_supercat_256.safetensors")["embedding.weight"].astype(
        np.float32
    )
    tokens = Tokenizer.from_file(str(wheel / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    texts = json.loads(args.texts.read_text())
    arrays: dict[str, Any] = {}
    for part in ("train", "test"):
        sentences, intents = zip(*texts[part], strict=True)
        encoded = tokens.encode_batch(list(sentences), add_special_tokens=False)
        arrays[f"x_{part}"] = np.stack([table[one.ids].mean(0) for one in encoded])
        arrays[f"y_{part}"] = np.array(intents)
    mean = arrays["x_train"].mean(0)
    scale = np.sqrt(np.square(arrays["x_train"] - mean).mean())
    return arrays | {name: (arrays[name] - mean) / scale for name in ("x_train", "x_test")}


def main() -> None:
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(required=True)
    images = kinds.add_parser("cifar10")
    images.add_argument("--root", default="data", help="folder of torchvision's CIFAR-10")
    images.add_argument(
        "--images", type=Path, help=".npz with x_train (n, 3, 32, 32) uint8 and so on, in its place"
    )
    images.add_argument("--human", type=Path, help="CIFAR-10_human.pt")
    images.add_argument("--rows", type=int, help="training images, the first ones; all unless set")
    images.add_argument("--test-rows", type=int, help="test images; all unless set")
    images.add_argument("--pairs", type=int, default=400, help="of mirrored filters")
    images.set_defaults(make=cifar10)
    texts = kinds.add_parser("clinc150")
    texts.add_argument("texts", type=Path, help="data_full.json")
    texts.set_defaults(make=clinc150)
    for kind in (images, texts):
        kind.add_argument("out", type=Path)
    args = parser.parse_args()
    np.savez(args.out, **args.make(args))


if __name__ == "__main__":
    main()
