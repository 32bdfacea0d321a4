"""Pictures are turned, made smaller, and encoded anew."""

import io
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from clew.reading.reader import CannotRead, Image, Reader
from tests.reading import made

pytestmark = pytest.mark.anyio

_ORIENTATION, _MAKER = 0x0112, 0x010F


async def _read(folder: Path, content: bytes, longest: int = 512) -> Image:
    path = folder / "image"
    path.write_bytes(content)
    async with Reader() as reader:
        return await reader.image(path, longest)


def _opened(image: Image) -> Pillow.Image:
    opened = Pillow.open(io.BytesIO(image.data))
    assert opened.get_format_mimetype() == image.media_type
    assert opened.size == (image.width, image.height)
    opened.load()
    return opened


def _saved(picture: Pillow.Image, kind: str, **options: object) -> bytes:
    held = io.BytesIO()
    picture.save(held, kind, **options)
    return held.getvalue()


def _close(pixel: object, wanted: tuple[int, ...]) -> bool:
    assert isinstance(pixel, tuple)
    return len(pixel) == len(wanted) and all(abs(a - b) <= 12 for a, b in zip(pixel, wanted, strict=True))


async def test_it_is_made_smaller_and_never_larger(tmp_path: Path) -> None:
    wide = _saved(Pillow.new("RGB", (3000, 1000), (200, 10, 10)), "JPEG")
    image = await _read(tmp_path, wide)
    assert (image.media_type, image.width, image.height) == ("image/jpeg", 512, 171)
    assert _close(_opened(image).getpixel((250, 80)), (200, 10, 10))
    small = await _read(tmp_path, _saved(Pillow.new("RGB", (30, 10)), "WEBP"))
    assert (small.width, small.height) == (30, 10)


async def test_it_is_turned_and_its_exif_is_gone(tmp_path: Path) -> None:
    picture = Pillow.new("RGB", (1200, 600), (0, 0, 255))
    picture.paste((255, 0, 0), (0, 0, 600, 600))  # red to the left
    exif = Pillow.Exif()
    exif[_ORIENTATION] = 6  # shown after a quarter turn clockwise: red above
    exif[_MAKER] = "where I live"
    image = await _read(tmp_path, _saved(picture, "JPEG", exif=exif))
    assert (image.width, image.height) == (256, 512)
    opened = _opened(image)
    assert _close(opened.getpixel((128, 50)), (254, 0, 0))
    assert _close(opened.getpixel((128, 460)), (0, 0, 254))
    assert not opened.getexif()
    assert b"where I live" not in image.data


@pytest.mark.parametrize("orientation", range(2, 9))
async def test_it_is_turned_as_others_turn_it(tmp_path: Path, orientation: int) -> None:
    picture = Pillow.linear_gradient("L").convert("RGB").resize((300, 200))
    picture.paste((255, 0, 0), (0, 0, 100, 100))
    exif = Pillow.Exif()
    exif[_ORIENTATION] = orientation
    content = _saved(picture, "PNG", exif=exif)
    with Pillow.open(io.BytesIO(content)) as opened:
        wanted = ImageOps.exif_transpose(opened).convert("RGB")
    image = _opened(await _read(tmp_path, content))
    assert image.size == wanted.size
    for place in ((20, 20), (wanted.width - 20, 20), (20, wanted.height - 20)):
        pixel = wanted.getpixel(place)
        assert isinstance(pixel, tuple)
        assert _close(image.getpixel(place), pixel)


async def test_damaged_exif_takes_nothing_from_the_picture(tmp_path: Path) -> None:
    content = _saved(Pillow.new("RGB", (40, 40)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffnonsense")
    assert (await _read(tmp_path, content)).width == 40


async def test_a_palette_with_transparency(tmp_path: Path) -> None:
    picture = Pillow.new("P", (40, 40), 1)
    picture.putpalette([0, 0, 0, 0, 0, 255])
    image = await _read(tmp_path, _saved(picture, "PNG", transparency=bytes([0, 100])))
    assert _close(_opened(image).getpixel((5, 5)), (0, 0, 255, 100))


async def test_transparency_is_kept(tmp_path: Path) -> None:
    half = Pillow.new("RGBA", (1000, 500), (0, 255, 0, 128))
    image = await _read(tmp_path, _saved(half, "PNG"))
    assert image.media_type == "image/png"
    assert _close(_opened(image).getpixel((10, 10)), (0, 255, 0, 128))
    opaque = await _read(tmp_path, _saved(Pillow.new("RGBA", (10, 10), (0, 255, 0, 255)), "PNG"))
    assert opaque.media_type == "image/jpeg"


async def test_sixteen_bits_of_grey(tmp_path: Path) -> None:
    grey = made.png(64, 64, [b"\x80\x00" * 64] * 64, depth=16, colours=0)
    assert _close(_opened(await _read(tmp_path, grey)).getpixel((5, 5)), (128, 128, 128))


async def test_sixteen_bits_of_colours(tmp_path: Path) -> None:
    coloured = made.png(64, 64, [b"\xff\xff\x80\x00\x00\x00" * 64] * 64, depth=16)
    assert _close(_opened(await _read(tmp_path, coloured)).getpixel((5, 5)), (255, 128, 0))


async def test_printers_colours(tmp_path: Path) -> None:
    printed = _saved(Pillow.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG")
    assert _close(_opened(await _read(tmp_path, printed)).getpixel((5, 5)), (254, 0, 0))


async def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Pillow.new("RGB", (40, 40), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    moving = _saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    image = _opened(await _read(tmp_path, moving))
    assert _close(image.getpixel((5, 5)), (254, 0, 0))
    assert getattr(image, "n_frames", 1) == 1


async def test_what_is_appended_is_gone(tmp_path: Path) -> None:
    polyglot = _saved(Pillow.new("RGB", (40, 40)), "JPEG") + b"<html><script>evil()</script>"
    assert b"evil" not in (await _read(tmp_path, polyglot)).data


async def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotRead) as caught:
        await _read(tmp_path, b"<svg/>")
    assert caught.value.message == "The image must be a JPEG, PNG, GIF or WebP."
    with pytest.raises(CannotRead) as caught:
        await _read(tmp_path, made.png(20_000, 20_000, [b""]))
    assert caught.value.message == "The image has over 50 megapixels."
    with pytest.raises(ValueError, match="longest"):
        await _read(tmp_path, b"", longest=0)
