"""Encoded images (PNG, JPEG, ...) decoded by Pillow to uint8 arrays of one size, grey or in colour.

- Transparent images are laid on white; palettes, CMYK and other colour spaces become RGB; 16-bit greys are divided by
  257; EXIF orientation is applied; of an animation the first frame is taken. Colour profiles are ignored.
- Sizes change by bilinear interpolation over all pixels that a new one covers. Large JPEGs are decoded at an eighth, a
  quarter or a half of their size if that is at least twice the new one.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from hetal.errors import BadInput

Resize = Literal["squash", "crop", "pad"]
Color = Literal["auto", "grey", "rgb"]

# What a file may hold, whatever its name; Pillow knows more, of which some start other programs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")

# Names of image files end with one of these, in any case.
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".webp"}
    | {".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"}
)

LARGEST_SIDE = 4096
GREY_16 = ("I;16", "I;16L", "I;16B", "I;16N", "I")
TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")


@dataclass(frozen=True)
class Form:
    """The form that all images of a data set are brought into.

    Attributes:
        size: height and width; None keeps sizes, which must then be the same for all.
        resize: "squash" scales height and width each; "crop" scales to fill the size and cuts what is beyond its centre
            off; "pad" scales to fit in, centred on black.
        color: "grey", "rgb", or "auto": grey if no pixel of any image has a colour.
    """

    size: tuple[int, int] | None
    resize: Resize
    color: Color

    @classmethod
    def of(cls, size: int | Sequence[int] | None, resize: Resize, color: Color) -> Form:
        """Return the form that settings describe; a single `size` is that of both sides.

        Raises:
            BadInput: names the setting that is none of the allowed.
        """
        sides = [size, size] if isinstance(size, int) else size
        if sides is not None and (
            len(sides) != 2 or not all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in sides)
        ):
            shown = str(size).replace(" ", "")
            raise BadInput(
                f"data.size={shown}: must be a whole number in 1..{LARGEST_SIDE}, "
                "a list of two, height and width, or null"
            )
        for name, value, allowed in (
            ("resize", resize, ("squash", "crop", "pad")),
            ("color", color, ("auto", "grey", "rgb")),
        ):
            if value not in allowed:
                raise BadInput(f"data.{name}={value}: must be one of {', '.join(allowed)}")
        return cls(None if sides is None else (sides[0], sides[1]), resize, color)


def decode(content: bytes, form: Form) -> NDArray[np.uint8]:
    """Return the image that a file holds, (C, H, W) with 1 or 3 channels; with `color` "auto", 1 if all is grey.

    Raises:
        BadInput: it holds none, is damaged, or has more pixels than Pillow takes for harmless; names no file.
        MemoryError: there is not enough memory.
    """
    if not content:
        raise BadInput("is empty")
    try:  # the exception of Pillow depends on the damage, so any is caught
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            if form.size is not None:
                image.draft(None, (2 * max(form.size), 2 * max(form.size)))
            pixels = np.asarray(_resized(_plain(image, form.color), form))
    except (BadInput, MemoryError):
        raise
    except UnidentifiedImageError:
        raise BadInput("is no image, or damaged") from None
    except Exception as error:
        raise BadInput(" ".join(str(error).split())[:120] or type(error).__name__) from None
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels[None])
    if form.color == "auto" and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., :1]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)  # some are left out of a build


def _plain(image: Image.Image, color: Color) -> Image.Image:
    """Return an upright image without transparency, of mode L or RGB."""
    with suppress(Exception):  # EXIF data may be damaged while the image is not
        image = ImageOps.exif_transpose(image) or image
    if image.mode in GREY_16:
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise BadInput("holds values beyond 16 bits")
        image = Image.fromarray(np.round(values / 257).astype(np.uint8))
    elif image.mode == "F":
        raise BadInput("holds floating-point pixels")
    elif image.mode in TRANSPARENT or "transparency" in image.info:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    is_grey = image.mode in ("1", "L")
    return image.convert("L" if color == "grey" or (color == "auto" and is_grey) else "RGB")


def _resized(image: Image.Image, form: Form) -> Image.Image:
    if form.size is None or image.size == form.size[::-1]:
        return image
    height, width = form.size
    if form.resize == "squash":
        return image.resize((width, height), Image.Resampling.BILINEAR)
    if form.resize == "crop":
        return ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    scale = min(width / image.width, height / image.height)
    within = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = Image.new(image.mode, (width, height))
    canvas.paste(
        image.resize(within, Image.Resampling.BILINEAR),
        ((width - within[0]) // 2, (height - within[1]) // 2),
    )
    return canvas
