"""Strong augmentation: each operation is Pillow's and torchvision's; the batch is a loop over images, only faster."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from hetal.augment import Strong, pixels
from hetal.augment.pixels import PIXEL_OPS
from hetal.augment.warps import WARPS, crop_flip_cut, warp, warp_matrices
from hetal.errors import BadInput

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 5, 9), (3, 2, 7), (1, 1, 1)]
NAMES = [op.__name__ for op, _, _ in PIXEL_OPS] + list(WARPS)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(shape: tuple[int, ...]) -> Tensor:
    """Noise, dark noise, two values, a constant and a gradient: what histograms and ranges can look like."""
    noise = torch.randint(256, (4, *shape), generator=rng(1))
    ramp = torch.arange(math.prod(shape)).view(1, *shape) % 256
    rare = 250 * (noise[1:2] > 250)
    pics = [noise, noise[:2] // 5 + 30, rare, torch.full((1, *shape), 77), torch.zeros(1, *shape), ramp]
    return torch.cat(pics).to(torch.uint8)


def to_pil(image: Tensor) -> Image.Image:
    return tv.to_pil_image(image)


def from_pil(image: Image.Image) -> Tensor:
    return tv.pil_to_tensor(image)


def levels(name: str, n: int) -> Tensor:
    """Magnitudes over the whole range of an operation; factors are multiples of 2^-16, as hetal cuts them."""
    low, high = next((low, high) for op, low, high in PIXEL_OPS if op.__name__ == name)
    level_B = low + (high - low) * torch.linspace(0, 1, n, dtype=torch.float64)
    return ((level_B * 65536).floor() / 65536).float()


# Of one image and a magnitude; torchvision takes Pillow images and tensors alike.
PIXEL_REFERENCE: dict[str, Callable[[Any, float], Any]] = {
    "identity": lambda x, m: x,
    "brightness": tv.adjust_brightness,
    "contrast": tv.adjust_contrast,
    "colour": tv.adjust_saturation,
    "sharpness": tv.adjust_sharpness,
    "posterize": lambda x, m: tv.posterize(x, int(m)),
    "solarize": lambda x, m: tv.solarize(x, int(m * 256)),
    "autocontrast": lambda x, m: tv.autocontrast(x),
    "equalize": lambda x, m: tv.equalize(x),
}


def difference(ours: Tensor, theirs: Tensor) -> int:
    return int((ours.int() - theirs.int()).abs().max())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", PIXEL_REFERENCE)
def test_a_pixel_operation_is_pillows(name: str, shape: tuple[int, ...]) -> None:
    images_B = pictures(shape)
    before_B, level_B = images_B.clone(), levels(name, len(images_B))
    ours_B = getattr(pixels, name)(images_B, level_B)
    theirs = [
        from_pil(PIXEL_REFERENCE[name](to_pil(x), float(m))) for x, m in zip(images_B, level_B, strict=True)
    ]
    # Pillow's autocontrast truncates a float64 quotient that may lie just under the integer that it should be.
    assert difference(ours_B, torch.stack(theirs)) <= (name == "autocontrast")
    assert ours_B.dtype == torch.uint8
    assert torch.equal(images_B, before_B)


# torchvision's tensor kernels depart from Pillow. Luma: weights that sum to 0.9999 and rounding down, where Pillow
# rounds: up to one level lower (colour), and the mean luma is then not rounded: up to 1.53 levels in all (contrast).
# Autocontrast: as above, in float32.
TENSOR_TOLERANCE = {"colour": 1, "contrast": 2, "autocontrast": 1}


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 5, 9)], ids=str)
@pytest.mark.parametrize("name", PIXEL_REFERENCE)
def test_a_pixel_operation_is_torchvisions(name: str, shape: tuple[int, ...]) -> None:
    images_B = pictures(shape)
    level_B = levels(name, len(images_B))
    if name == "solarize":
        level_B = level_B.clamp(max=255 / 256)  # torchvision refuses a threshold that inverts nothing
    theirs_B = torch.stack(
        [PIXEL_REFERENCE[name](x, float(m)) for x, m in zip(images_B, level_B, strict=True)]
    )
    assert difference(getattr(pixels, name)(images_B, level_B), theirs_B) <= TENSOR_TOLERANCE.get(name, 0)


def test_autocontrast_divides_exactly() -> None:
    images_B = pictures((3, 32, 32))
    for ours, image in zip(
        pixels.autocontrast(images_B, torch.zeros(len(images_B))).flatten(0, 1),
        images_B.flatten(0, 1),
        strict=True,
    ):
        low, high = int(image.min()), int(image.max())
        exact = [(v - low) * 255 // (high - low) if high > low else v for v in image.flatten().tolist()]
        assert ours.flatten().tolist() == exact


def pil_warp(image: Image.Image, name: str, m: float) -> Image.Image:
    if name == "rotate":
        return image.rotate(m)
    shift_x, shift_y = m * image.width, m * image.height
    coefficients = {
        "shear_x": (1, m, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, m, 1, 0),
        "translate_x": (1, 0, shift_x, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, shift_y),
    }
    return image.transform(image.size, Image.Transform.AFFINE, coefficients[name])


def warped(images_B: Tensor, name: str, level_B: Tensor) -> Tensor:
    op_B = torch.full((len(images_B),), list(WARPS).index(name))
    return warp(images_B, warp_matrices(op_B, level_B, *images_B.shape[-2:]))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", WARPS)
def test_a_warp_is_pillows(name: str, shape: tuple[int, ...]) -> None:
    images_B = pictures(shape)
    level_B = WARPS[name] * torch.linspace(-1, 1, len(images_B), dtype=torch.float64)
    before_B = images_B.clone()
    theirs_B = torch.stack(
        [from_pil(pil_warp(to_pil(x), name, float(m))) for x, m in zip(images_B, level_B, strict=True)]
    )
    assert torch.equal(warped(images_B, name, level_B), theirs_B)
    assert torch.equal(images_B, before_B)


def tensor_warp(image: Tensor, name: str, m: float) -> Tensor:
    _, height, width = image.shape
    nearest = InterpolationMode.NEAREST
    if name == "rotate":
        return tv.rotate(image, m, interpolation=nearest)
    # Pillow's coefficients map output to input, so a shift and a shear go the other way.
    degrees = -math.degrees(math.atan(m))
    shear = [-degrees if name == "shear_x" else 0.0, -degrees if name == "shear_y" else 0.0]
    move = [
        -round(m * width) if name == "translate_x" else 0,
        -round(m * height) if name == "translate_y" else 0,
    ]
    return tv.affine(image, 0.0, move, 1.0, shear if "shear" in name else [0.0, 0.0], nearest, center=[0, 0])


@pytest.mark.parametrize("name", WARPS)
def test_a_warp_is_torchvisions(name: str) -> None:
    images_B = torch.randint(1, 256, (64, 3, 32, 32), generator=rng(2)).to(torch.uint8)
    level_B = WARPS[name] * (2 * torch.rand(64, generator=rng(3), dtype=torch.float64) - 1)
    if "translate" in name:
        level_B = (level_B * 32).round() / 32
    theirs_B = torch.stack([tensor_warp(x, name, float(m)) for x, m in zip(images_B, level_B, strict=True)])
    unlike = (warped(images_B, name, level_B) != theirs_B).any(1)
    # A source position near enough to the border of two pixels goes to one by 16.16 fixed point over 32 pixels
    # and to the other by float32; nowhere else may the two differ. 1/1000 of positions is within 2^-11 of a border.
    assert unlike.double().mean() <= (0 if "translate" in name else 2e-3)


def test_a_warp_moves_what_it_says() -> None:
    image_B = torch.arange(1, 17, dtype=torch.uint8).view(1, 1, 4, 4)
    quarter = torch.tensor([0.25], dtype=torch.float64)
    assert warped(image_B, "translate_x", quarter).squeeze().tolist() == [
        [2, 3, 4, 0],
        [6, 7, 8, 0],
        [10, 11, 12, 0],
        [14, 15, 16, 0],
    ]
    assert warped(image_B, "translate_y", -quarter).squeeze().tolist() == [
        [0, 0, 0, 0],
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9, 10, 11, 12],
    ]
    # Row y takes from 0.5 (y + 1/2) to its right: 0.25, 0.75, 1.25, 1.75, and 1/2 more to a pixel's centre.
    assert warped(image_B, "shear_x", 2 * quarter).squeeze().tolist() == [
        [1, 2, 3, 4],
        [6, 7, 8, 0],
        [10, 11, 12, 0],
        [15, 16, 0, 0],
    ]


def test_crop_flip_and_cutout_by_hand() -> None:
    image = torch.arange(1, 13, dtype=torch.uint8).view(1, 1, 3, 4)
    plans = torch.tensor(
        [[1, 0, 0, 9, 9], [0, -1, 0, 9, 9], [0, 1, 1, 9, 9], [0, 0, 0, -1, 2], [0, 0, 1, 1, 1]]
    )
    out_B = crop_flip_cut(image.expand(5, -1, -1, -1), plans.int(), (2, 3))
    assert out_B.squeeze(1).tolist() == [
        [[5, 6, 7, 8], [9, 10, 11, 12], [0, 0, 0, 0]],
        [[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11]],
        [[0, 4, 3, 2], [0, 8, 7, 6], [0, 12, 11, 10]],
        [[1, 2, 127, 127], [5, 6, 7, 8], [9, 10, 11, 12]],
        [[4, 3, 2, 1], [8, 127, 127, 127], [12, 127, 127, 127]],
    ]


def slowly(strong: Strong, images_B: Tensor, generator: torch.Generator) -> Tensor:
    """One image at a time, with Pillow and NumPy, from the same draws."""
    height, width = images_B.shape[-2:]
    draws = torch.rand(
        (2 * strong.n_ops + 5, len(images_B)), generator=generator, dtype=torch.float64
    ).numpy()
    out = []
    for b, image in enumerate(images_B):
        picture = to_pil(image)
        for k in range(strong.n_ops):
            op, u = int(draws[k, b] * len(NAMES)), draws[strong.n_ops + k, b]
            if NAMES[op] in WARPS:
                most = WARPS[NAMES[op]]
                picture = pil_warp(picture, NAMES[op], -most + 2 * most * u)
            elif NAMES[op] == "autocontrast":
                exact = pixels.autocontrast(from_pil(picture)[None], torch.zeros(1))
                picture = to_pil(exact[0])
            else:
                _, low, high = PIXEL_OPS[op]
                m = float(np.float32(low + (high - low) * u))
                m = math.floor(m * 65536) / 65536
                picture = PIXEL_REFERENCE[NAMES[op]](picture, m)
        up, left, flip, row, col = draws[-5:, b]
        pad_y, pad_x = int(strong.padding * height), int(strong.padding * width)
        padded = np.pad(from_pil(picture).numpy(), ((0, 0), (pad_y, pad_y), (pad_x, pad_x)))
        top, start = int(up * (2 * pad_y + 1)), int(left * (2 * pad_x + 1))
        result = padded[:, top : top + height, start : start + width].copy()
        if flip < strong.flip:
            result = result[:, :, ::-1].copy()
        tall, wide = round(strong.cutout * height), round(strong.cutout * width)
        top, start = int(row * height) - tall // 2, int(col * width) - wide // 2
        result[:, max(top, 0) : max(top + tall, 0), max(start, 0) : max(start + wide, 0)] = 127
        out.append(torch.from_numpy(result))
    return torch.stack(out)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_batch_is_a_loop_over_images(shape: tuple[int, ...]) -> None:
    strong = Strong(n_ops=4, padding=0.125, flip=0.5, cutout=0.5)
    images_B = pictures(shape).repeat(12, 1, 1, 1)
    assert torch.equal(strong(images_B, rng(5)), slowly(strong, images_B, rng(5)))


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(0, 7),
    channels=st.sampled_from([1, 3]),
    sides=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    n_ops=st.integers(0, 5),
    padding=st.floats(0, 0.5),
    flip=st.floats(0, 1),
    cutout=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
def test_whatever_the_hyperparameters(
    n: int,
    channels: int,
    sides: tuple[int, int],
    n_ops: int,
    padding: float,
    flip: float,
    cutout: float,
    seed: int,
) -> None:
    strong = Strong(n_ops, padding, flip, cutout)
    images_B = torch.randint(256, (n, channels, *sides), generator=rng(seed)).to(torch.uint8)
    before_B = images_B.clone()
    out_B = strong(images_B, rng(seed))
    assert out_B.dtype == torch.uint8
    assert out_B.shape == images_B.shape
    assert torch.equal(images_B, before_B)
    assert out_B.untyped_storage().data_ptr() != images_B.untyped_storage().data_ptr() or n == 0
    if n:
        assert torch.equal(out_B, slowly(strong, images_B, rng(seed)))


def test_the_generator_alone_decides() -> None:
    strong = Strong(n_ops=4, padding=0.125, flip=0.5, cutout=0.5)
    images_B = torch.randint(256, (32, 3, 32, 32), generator=rng()).to(torch.uint8)
    shared = rng(1)
    first_B, second_B = strong(images_B, shared), strong(images_B, shared)
    torch.manual_seed(9)
    assert torch.equal(first_B, strong(images_B, rng(1)))
    assert not torch.equal(first_B, second_B)
    channels_last = images_B.to(memory_format=torch.channels_last)
    assert torch.equal(first_B, strong(channels_last, rng(1)))


def test_images_of_a_batch_are_independent() -> None:
    strong = Strong(n_ops=4, padding=0.125, flip=0.5, cutout=0.5)
    image = torch.randint(256, (1, 3, 32, 32), generator=rng()).to(torch.uint8)
    same_B = image.repeat(64, 1, 1, 1)
    out_B = strong(same_B, rng(1))
    assert len(out_B.flatten(1).unique(dim=0)) == 64
    other_B = same_B.clone()
    other_B[10] = 255 - other_B[10]
    unlike = (strong(other_B, rng(1)) != out_B).flatten(1).any(1)
    assert unlike.nonzero().flatten().tolist() in ([10], [])


def test_every_crop_and_half_the_flips_occur() -> None:
    image_B = torch.zeros(4000, 1, 8, 8, dtype=torch.uint8)
    image_B[:, :, 4, 4] = 1
    out_B = Strong(n_ops=0, padding=0.125, flip=0.0, cutout=0.0)(image_B, rng())
    where = out_B.squeeze(1).nonzero()[:, 1:]
    counts = where.unique(dim=0, return_counts=True)
    assert counts[0].tolist() == [[y, x] for y in (3, 4, 5) for x in (3, 4, 5)]
    # 4000 / 9 = 444, standard deviation 20.
    assert int(counts[1].min()) > 344
    assert int(counts[1].max()) < 544
    flipped = Strong(n_ops=0, padding=0.0, flip=0.5, cutout=0.0)(image_B, rng())[:, 0, 4, 3].sum()
    # Standard deviation 32.
    assert abs(int(flipped) - 2000) < 160


def test_nothing_asked_for_changes_nothing() -> None:
    images_B = pictures((3, 32, 32))
    assert torch.equal(Strong(n_ops=0, padding=0.0, flip=0.0, cutout=0.0)(images_B, rng()), images_B)
    assert torch.equal(Strong(n_ops=0, padding=0.0, flip=1.0, cutout=0.0)(images_B, rng()), images_B.flip(3))


def test_the_ranges_are_the_papers() -> None:
    assert len(NAMES) == len(set(NAMES)) == 14
    assert {op.__name__: (low, high) for op, low, high in PIXEL_OPS if high} == {
        **dict.fromkeys(("brightness", "contrast", "colour", "sharpness"), (0.05, 0.95)),
        "posterize": (4, 8),
        "solarize": (0, 1),
    }


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((4, 10), torch.uint8),
        ((4, 3, 8, 8), torch.float32),
        ((4, 2), torch.float32),
        ((4, 2, 8, 8), torch.uint8),
        ((4, 1, 0, 8), torch.uint8),
        ((3, 8, 8), torch.uint8),
    ],
    ids=str,
)
def test_only_uint8_images(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    strong = Strong(n_ops=4, padding=0.125, flip=0.5, cutout=0.5)
    with pytest.raises(BadInput, match=r"finetune\.augment=null"):
        strong.check(shape[1:], dtype)
    with pytest.raises(BadInput, match=r"finetune\.augment=null"):
        strong(torch.zeros(shape, dtype=dtype), rng())


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_ops", -1), ("n_ops", 1.5), ("padding", 4), ("padding", -0.1), ("flip", 1.1), ("cutout", math.nan)],
)
def test_a_bad_hyperparameter_is_named(name: str, value: float) -> None:
    good: dict[str, Any] = {"n_ops": 4, "padding": 0.125, "flip": 0.5, "cutout": 0.5}
    with pytest.raises(BadInput, match=rf"finetune\.augment\.{name}={value}"):
        Strong(**{**good, name: value})
