"""Folders of images: what is decoded, how it is resized and split, what is kept on disk, and what every fault says."""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
import struct
import threading
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from PIL import Image

from hetal.data import decoded as on_disk
from hetal.data import load_folder
from hetal.data.images import Form, decode
from hetal.errors import BadInput
from hetal.rng import stream
from hetal.task import Task
from tests.command_line import only, records, run_here
from tests.tiny_data import composed

SIZES = [(8, 8), (12, 7), (5, 20), (31, 17)]
CLASSES = ("ant", "bee", "cow")


def shades(k: int, n_channels: int = 3) -> np.ndarray:
    """An image of class k % 3 and of some size."""
    rng = np.random.default_rng(k)
    pixels = rng.integers(0, 60, (*SIZES[k % 4], n_channels)) + 80 * (k % 3)
    return pixels.astype(np.uint8).squeeze()


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def fill(folder: Path, n: int = 12, n_channels: int = 3, kinds: tuple[str, ...] = (".png", ".JPG")) -> Path:
    for k in range(n):
        write(folder / CLASSES[k % 3] / f"{k:02}{kinds[k % len(kinds)]}", shades(k, n_channels))
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos")


@functools.cache
def defaults() -> dict[str, object]:
    """The settings of the YAML, which take a while to compose."""
    node = OmegaConf.to_container(composed("folder", "data.root=unset"))
    return {key: value for key, value in node.items() if key not in ("_target_", "_partial_", "name")}


def folder(path: Path, *overrides: str, seed: int = 0) -> Task:
    typed = {"data.path": str(path), "data.root": str(path.parent / "cache"), "data.size": 8}
    typed |= {key: yaml.safe_load(value) for key, value in (text.split("=", 1) for text in overrides)}
    given = {key.removeprefix("data."): value for key, value in typed.items()}
    assert given.keys() <= defaults().keys()
    return load_folder(**(defaults() | given), rng=stream(seed, "data"))


def in_order(task: Task) -> list[int]:
    return sorted([*task.train.labels.tolist(), *task.test.labels.tolist()])


def test_classes_are_folders_and_a_share_of_each_is_the_test_set(photos):
    task = folder(photos, "data.test_share=0.25")
    assert task.class_names == CLASSES
    assert task.image_shape == (3, 8, 8)
    assert task.train.images.dtype == torch.uint8
    assert torch.bincount(task.train.labels).tolist() == [3, 3, 3]
    assert torch.bincount(task.test.labels).tolist() == [1, 1, 1]
    # Each class has its shade.
    for examples in (task.train, task.test):
        torch.testing.assert_close(
            examples.images.float().mean((1, 2, 3)), 30 + 80.0 * examples.labels, atol=9, rtol=0
        )
    x = task.train.images.double()
    torch.testing.assert_close(torch.tensor(task.mean), x.mean((0, 2, 3)).float())
    torch.testing.assert_close(torch.tensor(task.std), x.std((0, 2, 3), correction=0).float())
    assert task.notes[0] == "3 of 12 rows, 0.25 of each class, are the test set"


def test_the_split_is_the_same_at_every_seed_and_the_subset_is_not(photos):
    one, other = (folder(photos, seed=seed) for seed in (0, 1))
    assert torch.equal(one.test.images, other.test.images)
    assert torch.equal(one.train.images, other.train.images)
    assert len(folder(photos, "data.n_train=6").train) == 6


@pytest.mark.parametrize("names", [("train", "test"), ("Train", "TEST"), ("learn", "val")])
def test_folders_of_a_training_and_a_test_set(tmp_path, names):
    train, test = (fill(tmp_path / "photos" / name, n) for name, n in zip(names, (9, 6), strict=True))
    typed = [f"data.{k}={name.lower()}" for k, name in zip(("train", "test"), names, strict=True)]
    task = folder(tmp_path / "photos", *typed)
    assert (len(task.train), len(task.test), task.n_classes) == (9, 6, 3)
    assert task.train.labels.tolist() == sorted(k % 3 for k in range(9))
    assert torch.equal(task.train.images[0, :, :, :], torch.from_numpy(shades(0)).permute(2, 0, 1))
    (test / "dog").mkdir()
    write(test / "dog" / "1.png", shades(1))
    with pytest.raises(BadInput, match=rf"{names[1]}/ holds the label dog, which {names[0]}/ does not$"):
        folder(tmp_path / "photos", *typed)
    shutil.rmtree(test)
    assert len(folder(tmp_path / "photos", *typed).test) == 3
    train.rename(tmp_path / "photos" / "b")
    with pytest.raises(BadInput, match="holds one class only, b;"):
        folder(tmp_path / "photos", *typed)


def test_a_training_set_without_its_test_set_is_not_taken_for_a_class(tmp_path):
    fill(tmp_path / "photos" / "train")
    fill(tmp_path / "photos" / "val")
    with pytest.raises(BadInput, match=r"holds train/ and val/ but no test set test/; data\.test=val takes"):
        folder(tmp_path / "photos")
    assert folder(tmp_path / "photos", "data.test=val").n_classes == 3
    assert len(folder(tmp_path / "photos", "data.test=null").train) == 9
    assert folder(tmp_path / "photos", "data.train=null").class_names == ("train", "val")


def test_names_of_classes_are_numbers_by_size_or_text_that_terminals_take(tmp_path):
    for name in ("10", "9", "0"):
        write(tmp_path / "numbers" / name / "a" / "deep.png", shades(0))
        write(tmp_path / "numbers" / name / "b.png", shades(1))
    task = folder(tmp_path / "numbers")
    assert task.class_names == ("0", "9", "10")
    odd = [b"\xff\xfe", b"a\x1b[2Jb\nc", "Größe ☃ 'x'".encode(), b"[markup]"]
    for name in odd:
        write(tmp_path / "odd" / os.fsdecode(name) / "x=1,y.png", shades(0))
        write(tmp_path / "odd" / os.fsdecode(name) / "é.png", shades(1))
    task = folder(tmp_path / "odd")
    assert set(task.class_names) == {r"\xff\xfe", r"a\x1b[2Jb\nc", "Größe ☃ 'x'", "[markup]"}
    assert all(note.isprintable() for note in task.notes)


def test_what_is_left_out_is_named(photos):
    (photos / ".hidden").mkdir()
    write(photos / ".hidden" / "a.png", shades(0))
    write(photos / "ant" / "._x.png", shades(0))
    (photos / "__MACOSX").mkdir()
    (photos / "ant" / "Thumbs.db").write_bytes(b"x")
    (photos / "empty").mkdir()
    (photos / "readme.txt").write_text("x")
    write(photos / "loose.png", shades(0))
    task = folder(photos)
    assert task.n_classes == 3
    assert len(in_order(task)) == 12
    assert task.notes[:3] == (
        "left out: 1 files in no folder of a class (loose.png)",
        "left out: 1 files without the name of an image (readme.txt)",
        "left out: 1 folders without images (empty)",
    )


def test_links_are_followed_and_circles_are_not(photos):
    outside = fill(photos.parent / "outside", 3)
    (photos / "dog").symlink_to(outside / "ant")
    (photos / "ant" / "more").symlink_to(photos / "ant")
    (photos / "bee" / "link.png").symlink_to(photos / "bee" / "01.JPG")
    task = folder(photos)
    assert task.class_names == ("ant", "bee", "cow", "dog")
    assert len(in_order(task)) == 14
    (photos / "bee" / "broken.png").symlink_to(photos / "nowhere")
    with pytest.raises(
        BadInput, match=r"1 of 15 images cannot be read: bee/broken\.png \(leads to no file\)"
    ):
        folder(photos)


def png(width: int, height: int) -> bytes:
    """The first bytes of a PNG that says how large it is."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\1IDAT\0"


BAD = {
    "empty": (b"", "is empty"),
    "text": (b"not an image", "is no image, or damaged"),
    "bomb": (png(60000, 60000), "could be decompression bomb"),
    "cut": (png(20, 20), ""),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "is no image"),
}


@pytest.mark.parametrize("kind", BAD)
def test_unreadable_images_are_refused_or_skipped_by_name(photos, kind):
    content, reason = BAD[kind]
    for k in range(10, 35):
        (photos / "ant" / f"x{k}.jpeg").write_bytes(content)
    with pytest.raises(BadInput) as refusal:
        folder(photos)
    said = str(refusal.value)
    assert f"data.path={photos}: 25 of 37 images cannot be read: ant/x10.jpeg (" in said
    assert reason in said
    assert "ant/x29" in said
    assert "ant/x30" not in said
    assert said.endswith(", ...; data.unreadable=skip leaves them out")
    task = folder(photos, "data.unreadable=skip")
    assert len(in_order(task)) == 12
    assert task.notes[0].startswith("left out: 25 of 37 images that cannot be read: ant/x10.jpeg (")


def test_a_pipe_of_the_name_of_an_image_is_not_waited_for(photos):
    os.mkfifo(photos / "ant" / "pipe.png")
    with pytest.raises(BadInput, match=r"ant/pipe.png \(cannot be opened\)"):
        folder(photos)


def test_faults_of_the_folder(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    one = fill(tmp_path / "one" / "only")
    file = tmp_path / "file.png"
    write(file, shades(0))
    single = tmp_path / "single"
    for name in CLASSES:
        write(single / name / "1.png", shades(0))
    broken = tmp_path / "broken" / "ant"
    broken.mkdir(parents=True)
    (broken / "1.png").write_bytes(b"x")
    for path, words in [
        (tmp_path / "nowhere", "there is no such folder"),
        (file, "is a file"),
        (empty, "holds no folder of images; it must hold one for each class, or train/ and test/"),
        (one.parent, "the folder holds one class only, only; there must be at least 2"),
        (single, "no class has two rows, one to train and one to test with"),
        (tmp_path / "broken", "none of 1 images can be read: ant/1.png (is no image, or damaged)"),
    ]:
        with pytest.raises(BadInput) as refusal:
            folder(path)
        assert str(refusal.value) == f"data.path={path}: {words}"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("data.size=0", "data.size=0: must be a whole number in 1..4096"),
        ("data.size=[8]", "data.size=[8]: must be"),
        ("data.size=true", "data.size=True: must be"),
        ("data.resize=stretch", "data.resize=stretch: must be one of squash, crop, pad"),
        ("data.color=blue", "data.color=blue: must be one of auto, grey, rgb"),
        ("data.unreadable=ignore", "data.unreadable=ignore: must be one of refuse, skip"),
        ("data.test_share=1", "data.test_share=1: must be between 0 and 1"),
        ("data.standardise=some", "data.standardise=some: must be feature, all or none"),
        ("data.n_train=1", "data.n_train=1: must be"),
        ("data.path=null", "data.path is not set"),
        (
            "data.size=null",
            "ant/00.png is 8x8 and ant/03.JPG 31x17 (height x width); data.size=32 brings all",
        ),
    ],
)
def test_faults_of_settings(photos, typed, words):
    with pytest.raises(BadInput) as refusal:
        folder(photos, typed)
    assert words in str(refusal.value)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


AS_IS = Form(None, "squash", "auto")


def test_grey_where_no_pixel_has_a_colour():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    for image in (
        Image.fromarray(grey),
        Image.fromarray(grey).convert("RGB"),
        Image.fromarray(grey).convert("P"),
    ):
        assert np.array_equal(decode(encoded(image), AS_IS), grey[None])
        assert np.array_equal(decode(encoded(image), Form(None, "crop", "rgb")), np.stack([grey] * 3))
    red = Image.new("RGB", (2, 2), (200, 0, 0))
    assert decode(encoded(red), AS_IS)[:, 0, 0].tolist() == [200, 0, 0]
    assert decode(encoded(red), Form(None, "pad", "grey"))[:, 0, 0].tolist() == [60]


def test_auto_is_grey_for_all_or_for_none(tmp_path):
    path = fill(tmp_path / "photos", n_channels=1)
    assert folder(path).image_shape == (1, 8, 8)
    write(path / "ant" / "red.png", shades(0))
    task = folder(path)
    assert task.image_shape == (3, 8, 8)
    images = torch.cat([task.train.images, task.test.images])
    assert int((images != images[:, :1]).flatten(1).any(1).sum()) == 1
    assert folder(path, "data.color=grey").image_shape == (1, 8, 8)


def test_modes_of_files():
    grey16 = np.array([[0, 257, 65535, 32896]], dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        assert decode(encoded(Image.fromarray(grey16), kind), AS_IS).tolist() == [[[0, 1, 255, 128]]]
    clear = Image.new("RGBA", (2, 1), (10, 20, 30, 0))
    clear.putpixel((1, 0), (10, 20, 30, 255))
    assert decode(encoded(clear), AS_IS).transpose(1, 2, 0).tolist() == [[[255] * 3, [10, 20, 30]]]
    palette = Image.new("P", (2, 1), 1)
    palette.putpalette([0, 0, 0, 250, 0, 0])
    palette.putpixel((0, 0), 0)
    assert decode(encoded(palette, transparency=0), AS_IS).transpose(1, 2, 0).tolist() == [
        [[255] * 3, [250, 0, 0]]
    ]
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert np.abs(decode(encoded(cmyk, "JPEG"), AS_IS)[:, 4, 4].astype(int) - [255, 0, 0]).max() <= 3
    bits = Image.new("1", (2, 1))
    bits.putpixel((1, 0), 1)
    assert decode(encoded(bits), AS_IS).tolist() == [[[0, 255]]]
    with pytest.raises(BadInput, match="floating-point"):
        decode(encoded(Image.new("F", (2, 2)), "TIFF"), AS_IS)
    with pytest.raises(BadInput, match="beyond 16 bits"):
        decode(encoded(Image.new("I", (2, 2), 70000), "TIFF"), AS_IS)


def test_orientation_by_exif():
    image = Image.fromarray(np.array([[0, 50], [100, 150], [200, 250]], dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    assert decode(encoded(image, exif=exif), AS_IS).tolist() == [[[200, 100, 0], [250, 150, 50]]]


def test_rules_of_resizing():
    # Left half black, right half white: 40 wide, 20 high, with a white frame of no width.
    pixels = np.zeros((20, 40), dtype=np.uint8)
    pixels[:, 20:] = 255
    content = encoded(Image.fromarray(pixels))
    squash, crop, pad = (decode(content, Form((10, 10), how, "auto"))[0] for how in ("squash", "crop", "pad"))
    assert squash.shape == crop.shape == pad.shape == (10, 10)
    assert squash[:, :4].max() == 0
    assert squash[:, 6:].min() == 255
    assert crop[:, :4].max() == 0
    assert pad[:2].max() == 0  # 5 of 10 rows are the image, centred
    assert pad[8:].max() == 0
    assert pad[3:6, 6:].min() == 255
    tall = encoded(Image.fromarray(pixels[:, 20:21].repeat(50, axis=0)))
    for how in ("squash", "crop", "pad"):
        assert decode(tall, Form((4, 6), how, "rgb")).shape == (3, 4, 6)
    assert decode(tall, Form((4, 6), "pad", "rgb"))[0].tolist() == [[0, 0, 255, 0, 0, 0]] * 4


def test_large_jpegs_are_decoded_small_and_look_the_same():
    y, x = np.mgrid[:400, :600]
    smooth = np.stack([x / 600 * 255, y / 400 * 255, (x + y) / 1000 * 255], axis=-1).astype(np.uint8)
    content = encoded(Image.fromarray(smooth), "JPEG", quality=95)
    got = decode(content, Form((16, 24), "squash", "auto")).transpose(1, 2, 0).astype(int)
    want = np.asarray(Image.fromarray(smooth).resize((24, 16), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(got - want).max() <= 4


def test_decoded_once_and_again_where_tree_settings_or_what_is_kept_change(photos, monkeypatch):
    calls = []

    def counted(content, form):
        calls.append(1)
        return decode(content, form)

    def n_decoded(*overrides):
        calls.clear()
        task = folder(photos, *overrides)
        return len(calls), task

    monkeypatch.setattr(on_disk, "decode", counted)
    n, first = n_decoded()
    assert n == 12
    n, again = n_decoded("data.test_share=0.2", "data.mean=[1]")
    assert n == 0
    assert torch.equal(first.train.images, again.train.images)
    assert torch.equal(first.test.images, again.test.images)
    assert n_decoded("data.resize=pad")[0] == 12
    kept = sorted((photos.parent / "cache" / "decoded").glob("*.npz"), key=os.path.getmtime)[0]
    whole = kept.read_bytes()
    rng = np.random.default_rng(0)
    for where in [*rng.integers(0, len(whole), 3), len(whole) // 2]:
        damaged = bytearray(whole)
        damaged[where] ^= 0x55
        kept.write_bytes(damaged)
        _, repaired = n_decoded()
        assert torch.equal(first.train.images, repaired.train.images)
    kept.write_bytes(whole[:100])
    half = kept.with_name(f".{kept.name}.1.tmp")  # of a process that was killed
    half.write_bytes(b"")
    assert n_decoded()[0] == 12
    assert not half.exists()
    assert n_decoded()[0] == 0
    assert kept.read_bytes() == whole
    write(photos / "bee" / "new.png", shades(1))
    assert n_decoded()[0] == 13
    (photos / "bee" / "new.png").rename(photos / "ant" / "new.png")
    assert n_decoded()[0] == 13


def test_several_at_once_decode_once(photos, monkeypatch):
    calls, images = [], []
    monkeypatch.setattr(on_disk, "decode", lambda *given: (calls.append(1), decode(*given))[1])
    contents = [path.read_bytes() for path in sorted(photos.rglob("*.*"))]
    given = ([str(k) for k in range(12)], contents.__getitem__, Form((8, 8), "squash", "auto"), "x")

    def work():
        images.append(on_disk.decoded(*given, str(photos.parent / "cache"), "data.path=photos").images)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 12
    assert len(images) == 4
    assert all(np.array_equal(one, images[0]) for one in images)


def test_a_folder_that_cannot_keep_images_costs_only_time(photos):
    (photos.parent / "cache").write_text("a file")
    task = folder(photos)
    assert len(task.train) == 9
    (note,) = [note for note in task.notes if "data.root" in note]
    assert note.endswith("every run decodes anew")


def test_a_full_disk_costs_no_second_decoding(photos, monkeypatch):
    def full(path, write):
        raise BadInput("cannot write it: no space left") from OSError()

    calls = []
    monkeypatch.setattr(on_disk, "decode", lambda *given: (calls.append(1), decode(*given))[1])
    monkeypatch.setattr(on_disk, "write_atomically", full)
    assert any("no space left; every run decodes anew" in note for note in folder(photos).notes)
    assert len(calls) == 12


def test_an_image_that_memory_does_not_hold_is_not_taken_for_damaged(photos, monkeypatch):
    def large(content, form):
        raise MemoryError

    monkeypatch.setattr(on_disk, "decode", large)
    with pytest.raises(BadInput, match="there is not enough memory to decode ant/"):
        folder(photos, "data.unreadable=skip")


def test_a_tree_that_changes_while_it_is_read_is_refused(photos, monkeypatch):
    def changing(content, form):
        write(photos / "ant" / "late.png", shades(5))
        return decode(content, form)

    monkeypatch.setattr(on_disk, "decode", changing)
    with pytest.raises(BadInput, match="was changed while it was read"):
        folder(photos)


@pytest.mark.filterwarnings("ignore")  # of Pillow
def test_damaged_files_never_cause_anything_but_a_line():
    rng = np.random.default_rng(0)
    form = Form((6, 6), "pad", "auto")
    pixels = shades(3)
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        whole = np.frombuffer(encoded(Image.fromarray(pixels), kind), dtype=np.uint8)
        for _ in range(60):
            content = whole[: rng.integers(len(whole))] if rng.random() < 0.3 else whole.copy()
            if len(content) and content is not whole:
                content = content.copy()
                content[rng.integers(0, len(content), rng.integers(1, 6))] = rng.integers(0, 256)
            with suppress(BadInput):  # any other exception fails the test
                assert decode(content.tobytes(), form).shape in ((1, 6, 6), (3, 6, 6))


def test_from_a_folder_to_a_record(photos):
    root = photos.parent / "runs"
    run_here(
        "data=folder",
        f"data.path={photos}",
        f"data.root={photos.parent / 'cache'}",
        "data.size=8",
        "device=cpu",
        "tracker=none",
        "train.max_epochs=2",
        "noise=blank",
        "n_end=6",
        root=root,
    )
    ((name, rounds),) = records(root).items()
    assert name.startswith("badge-photos-blank-x4-mlp-s0-")
    assert [round["n_labelled"] for round in rounds] == [3, 6]
    about = json.loads((only(root) / "provenance.json").read_text())
    assert about["classes"] == list(CLASSES)
    assert "pillow" in about["made_by"]
