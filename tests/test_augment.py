"""Augmentation: each operation is Pillow's and torchvision's; the batch is a loop over images, only faster."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from hetal.augment import Augmentation, Published, Strong, Weak, pixels
from hetal.augment.crops import crop_flip, rectangles
from hetal.augment.pixels import PIXEL_OPS
from hetal.augment.warps import WARPS, warp, warp_matrices
from hetal.errors import BadInput
from hetal.guard.training import check_training
from hetal.models.mlp import MLP
from hetal.task import Examples, Task
from tests.toy import labelled_pool, make_learner

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 5, 9), (3, 2, 7), (1, 1, 1)]
NAMES = [op.__name__ for op in PIXEL_OPS] + list(WARPS)
# The ranges of magnitudes: of FixMatch's table 12, and of the LHD paper's code. Solarize is a share of 256.
FIXMATCH: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("identity", "autocontrast", "equalize"), (0, 0)),
    **dict.fromkeys(("brightness", "contrast", "colour", "sharpness"), (0.05, 0.95)),
    **dict.fromkeys(("shear_x", "shear_y", "translate_x", "translate_y"), (-0.3, 0.3)),
    "rotate": (-30, 30),
    "posterize": (4, 8),
    "solarize": (0, 1),
}
LHD = {**FIXMATCH, **dict.fromkeys(("shear_x", "shear_y", "translate_x", "translate_y"), (-0.1, 0.1))}


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
    low, high = FIXMATCH[name]
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
    op_B = torch.full((len(images_B),), WARPS.index(name))
    return warp(images_B, warp_matrices(op_B, level_B, *images_B.shape[-2:]))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", WARPS)
def test_a_warp_is_pillows(name: str, shape: tuple[int, ...]) -> None:
    images_B = pictures(shape)
    level_B = FIXMATCH[name][1] * torch.linspace(-1, 1, len(images_B), dtype=torch.float64)
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
    level_B = FIXMATCH[name][1] * (2 * torch.rand(64, generator=rng(3), dtype=torch.float64) - 1)
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


def test_crop_flip_and_rectangles_by_hand() -> None:
    image = torch.arange(1, 13, dtype=torch.uint8).view(1, 1, 3, 4)
    plans = torch.tensor([[1, 0, 0], [0, -1, 0], [0, 1, 1]]).int()
    assert crop_flip(image.expand(3, -1, -1, -1), plans).squeeze(1).tolist() == [
        [[5, 6, 7, 8], [9, 10, 11, 12], [0, 0, 0, 0]],
        [[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11]],
        [[0, 4, 3, 2], [0, 8, 7, 6], [0, 12, 11, 10]],
    ]
    plans = torch.tensor([[-1, 2, 2, 3], [1, 1, 2, 3], [9, 9, 2, 3], [1, 1, 0, 0]]).int()
    assert rectangles(image.expand(4, -1, -1, -1), plans).squeeze(1).tolist() == [
        [[0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]],
        [[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1]],
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    ]


def operated(image: Image.Image, draws: np.ndarray, ranges: dict[str, tuple[float, float]]) -> Image.Image:
    """Apply Pillow's operations by uniform draws: the operations, then their magnitudes."""
    n = len(draws) // 2
    for u, v in zip(draws[:n], draws[n:], strict=True):
        name = NAMES[int(u * len(NAMES))]
        low, high = ranges[name]
        m = low + (high - low) * v
        if name in WARPS:
            image = pil_warp(image, name, m)
        elif name == "autocontrast":
            image = to_pil(pixels.autocontrast(from_pil(image)[None], torch.zeros(1))[0])
        elif name == "solarize" and ranges is LHD:
            image = ImageOps.solarize(
                image, m * 256
            )  # as that code has it, with a threshold that is no whole number
        else:
            image = PIXEL_REFERENCE[name](image, math.floor(float(np.float32(m)) * 65536) / 65536)
    return image


def cropped(image: np.ndarray, draws: np.ndarray, padding: float, flip: float) -> np.ndarray:
    height, width = image.shape[-2:]
    pad_y, pad_x = int(padding * height), int(padding * width)
    padded = np.pad(image, ((0, 0), (pad_y, pad_y), (pad_x, pad_x)))
    top, left = int(draws[0] * (2 * pad_y + 1)), int(draws[1] * (2 * pad_x + 1))
    result = padded[:, top : top + height, left : left + width]
    return (result[:, :, ::-1] if draws[2] < flip else result).copy()


def slowly(augment: Augmentation, images_B: Tensor, generator: torch.Generator) -> Tensor:
    """One image at a time, with Pillow and NumPy, from the same draws."""
    height, width = images_B.shape[-2:]
    rows = {Weak: 3, Strong: 5, Published: 1}[type(augment)] + 2 * getattr(augment, "n_ops", 0)
    draws_B = torch.rand((rows, len(images_B)), generator=generator, dtype=torch.float64).numpy().T
    out = []
    for image, draws in zip(images_B, draws_B, strict=True):
        picture = to_pil(image)
        if isinstance(augment, Weak):
            result = cropped(image.numpy(), draws, augment.padding, augment.flip)
        elif isinstance(augment, Published):
            if draws[0] < augment.flip:
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            result = from_pil(operated(picture, draws[1:], LHD)).numpy()
        else:
            result = from_pil(operated(picture, draws[:-5], FIXMATCH)).numpy()
            result = cropped(result, draws[-5:-2], augment.padding, augment.flip)
            tall, wide = round(augment.cutout * height), round(augment.cutout * width)
            top, left = int(draws[-2] * height) - tall // 2, int(draws[-1] * width) - wide // 2
            result[:, max(top, 0) : max(top + tall, 0), max(left, 0) : max(left + wide, 0)] = 127
        out.append(torch.from_numpy(result))
    return torch.stack(out)


def cut_slowly(x_B: Tensor, cutout: float, generator: torch.Generator) -> Tensor:
    """The code's cutout of standardised images, one at a time: its arithmetic, from uniform draws."""
    height, width = x_B.shape[-2:]
    draws_B = torch.rand((3, len(x_B)), generator=generator, dtype=torch.float64).T.tolist()
    out_B = x_B.clone()
    for x, (u, row, column) in zip(out_B, draws_B, strict=True):
        length = 1 + int(u * max(int(cutout * height), 1))  # of 1, ..., H/2
        r, c = int(row * height), int(column * width)
        y1, y2 = (min(max(v, 0), height) for v in (r - length // 2, r + length // 2))
        x1, x2 = (min(max(v, 0), width) for v in (c - length // 2, c + length // 2))
        x[:, y1:y2, x1:x2] = 0
    return out_B


WEAK = Weak(padding=0.125, flip=0.5)
STRONG = Strong(n_ops=4, padding=0.125, flip=0.5, cutout=0.5)
PUBLISHED = Published(n_ops=4, flip=0.5, cutout=0.5)
EACH = pytest.mark.parametrize("augment", [WEAK, STRONG, PUBLISHED], ids=lambda a: type(a).__name__)


@EACH
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_batch_is_a_loop_over_images(shape: tuple[int, ...], augment: Augmentation) -> None:
    images_B = pictures(shape).repeat(12, 1, 1, 1)
    assert torch.equal(augment(images_B, rng(5)), slowly(augment, images_B, rng(5)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_published_cutout_is_that_of_its_code(shape: tuple[int, ...]) -> None:
    x_B = torch.randn(200, *shape, generator=rng(1))
    out_B = PUBLISHED.after(x_B.clone(), rng(2))
    assert torch.equal(out_B, cut_slowly(x_B, 0.5, rng(2)))
    assert torch.equal(PUBLISHED.after(x_B.to(memory_format=torch.channels_last), rng(2)), out_B)
    assert torch.equal(Published(n_ops=4, flip=0.5, cutout=0.0).after(x_B.clone(), rng(2)), x_B)


def test_published_squares_have_every_even_side_and_clip_at_the_border() -> None:
    holes_B = PUBLISHED.after(torch.ones(4000, 1, 8, 8), rng())[:, 0] == 0
    sizes = {(int(h.any(1).sum()), int(h.any(0).sum())) for h in holes_B}
    # Sides 0, 2, 2, 4 for lengths 1 to 4; at a border 1 to 4 rows or columns are left.
    assert sizes == {
        (0, 0),
        *((a, b) for a in (1, 2) for b in (1, 2)),
        *((a, b) for a in (2, 3, 4) for b in (2, 3, 4)),
    }
    # A quarter has none; standard deviation 27.
    assert abs(int((~holes_B.flatten(1).any(1)).sum()) - 1000) < 137


def test_weak_and_strong_leave_standardised_images_as_they_are() -> None:
    x_B = torch.randn(4, 1, 8, 8, generator=rng())
    for augment in (WEAK, STRONG):
        assert torch.equal(augment.after(x_B.clone(), rng()), x_B)


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
    images_B = torch.randint(256, (n, channels, *sides), generator=rng(seed)).to(torch.uint8)
    before_B = images_B.clone()
    published = Published(n_ops, flip, cutout)
    for augment in (Weak(padding, flip), Strong(n_ops, padding, flip, cutout), published):
        out_B = augment(images_B, rng(seed))
        assert out_B.dtype == torch.uint8
        assert out_B.shape == images_B.shape
        assert torch.equal(images_B, before_B)
        assert out_B.untyped_storage().data_ptr() != images_B.untyped_storage().data_ptr() or n == 0
        if n:
            assert torch.equal(out_B, slowly(augment, images_B, rng(seed)))
    x_B = images_B.float() - 100.5
    assert torch.equal(published.after(x_B.clone(), rng(seed)), cut_slowly(x_B, cutout, rng(seed)))


@EACH
def test_the_generator_alone_decides(augment: Augmentation) -> None:
    images_B = torch.randint(256, (32, 3, 32, 32), generator=rng()).to(torch.uint8)
    shared = rng(1)
    first_B, second_B = augment(images_B, shared), augment(images_B, shared)
    torch.manual_seed(9)
    assert torch.equal(first_B, augment(images_B, rng(1)))
    assert not torch.equal(first_B, second_B)
    channels_last = images_B.to(memory_format=torch.channels_last)
    assert torch.equal(first_B, augment(channels_last, rng(1)))


@EACH
def test_images_of_a_batch_are_independent(augment: Augmentation) -> None:
    image = torch.randint(256, (1, 3, 32, 32), generator=rng()).to(torch.uint8)
    same_B = image.repeat(64, 1, 1, 1)
    out_B = augment(same_B, rng(1))
    assert len(out_B.flatten(1).unique(dim=0)) > 40  # of 64, at random; weak augmentation has 162
    other_B = same_B.clone()
    other_B[10] = 255 - other_B[10]
    unlike = (augment(other_B, rng(1)) != out_B).flatten(1).any(1)
    assert unlike.nonzero().flatten().tolist() in ([10], [])


def test_every_crop_and_half_the_flips_occur() -> None:
    image_B = torch.zeros(4000, 1, 8, 8, dtype=torch.uint8)
    image_B[:, :, 4, 4] = 1
    out_B = Weak(padding=0.125, flip=0.0)(image_B, rng())
    where = out_B.squeeze(1).nonzero()[:, 1:]
    counts = where.unique(dim=0, return_counts=True)
    assert counts[0].tolist() == [[y, x] for y in (3, 4, 5) for x in (3, 4, 5)]
    # 4000 / 9 = 444, standard deviation 20.
    assert int(counts[1].min()) > 344
    assert int(counts[1].max()) < 544
    for augment in (Weak(padding=0.0, flip=0.5), Published(n_ops=0, flip=0.5, cutout=0.0)):
        flipped = augment(image_B, rng())[:, 0, 4, 3].sum()
        # Standard deviation 32.
        assert abs(int(flipped) - 2000) < 160


def test_nothing_asked_for_changes_nothing() -> None:
    images_B = pictures((3, 32, 32))
    for flip, expected_B in ((0.0, images_B), (1.0, images_B.flip(3))):
        assert torch.equal(Strong(n_ops=0, padding=0.0, flip=flip, cutout=0.0)(images_B, rng()), expected_B)
        assert torch.equal(Published(n_ops=0, flip=flip, cutout=0.0)(images_B, rng()), expected_B)
        assert torch.equal(Weak(padding=0.0, flip=flip)(images_B, rng()), expected_B)


def test_there_are_fourteen_operations() -> None:
    assert len(NAMES) == 14
    assert set(NAMES) == set(FIXMATCH)


@EACH
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
def test_only_uint8_images(shape: tuple[int, ...], dtype: torch.dtype, augment: Augmentation) -> None:
    with pytest.raises(BadInput, match=r"^train\.augment: .*; set train\.augment=null"):
        augment.check(shape[1:], dtype, "train.augment")
    with pytest.raises(BadInput, match=r"^augment: augmentation takes uint8 images"):
        augment(torch.zeros(shape, dtype=dtype), rng())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_ops", -1),
        ("n_ops", 1.5),
        ("n_ops", 2**63 - 1),
        ("padding", 4),
        ("padding", -0.1),
        ("flip", 1.1),
        ("cutout", math.nan),
    ],
)
def test_a_bad_hyperparameter_is_named(name: str, value: float) -> None:
    given_somewhere = False
    for augment in (WEAK, STRONG, PUBLISHED):
        if hasattr(augment, name):
            given_somewhere = True
            with pytest.raises(BadInput, match=rf"^finetune\.augment\.{name}={value}: must be"):
                dataclasses.replace(augment, **{name: value}).check(
                    (1, 8, 8), torch.uint8, "finetune.augment"
                )
    assert given_somewhere


def test_a_network_is_trained_on_what_comes_after_standardising() -> None:
    seen = []

    class Marked(Augmentation):
        def __call__(self, images_B: Tensor, rng: torch.Generator) -> Tensor:
            return 255 - images_B

        def after(self, x_B: Tensor, rng: torch.Generator) -> Tensor:
            return x_B + 1000

    class Seeing(MLP):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            if self.training:
                seen.append(x.clone())
            return super().forward(x)

    labels = torch.arange(8) % 2
    images = torch.arange(8).repeat_interleave(4).view(8, 1, 2, 2).to(torch.uint8)
    examples = Examples(images, labels)
    task = Task(examples, examples, 2, mean=(100.0,), std=(2.0,))
    learner = make_learner(
        task, network=lambda shape, n: Seeing(shape, n, [4], 0.0), augment=Marked(), max_epochs=1
    )
    learner.fit(labelled_pool(task, 8), rng())
    trained_on = torch.cat(seen).flatten(1)
    assert trained_on.sort(0).values.tolist() == [[(255 - v - 100) / 2 + 1000] * 4 for v in range(7, -1, -1)]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda x: None, "NoneType for 2 images; it must give torch.uint8 of shape"),
        (lambda x: x[:, :, :4], r"torch.uint8 of shape \(2, 1, 4, 8\) for 2 images"),
        (lambda x: x.float(), "torch.float32 of shape"),
        (lambda x: x.no_such, "Own fails: AttributeError"),
    ],
)
def test_an_augmentation_that_gives_something_else_is_refused_before(
    made: Callable[[Tensor], Any], message: str
) -> None:
    class Own(Augmentation):
        def __call__(self, images_B: Tensor, rng: torch.Generator) -> Any:
            return made(images_B)

    examples = Examples(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4) % 2)
    learner = make_learner(Task(examples, examples, 2), augment=Own())
    with pytest.raises(BadInput, match=f"^train.augment: .*{message}"):
        check_training(learner.new_network(), learner)
