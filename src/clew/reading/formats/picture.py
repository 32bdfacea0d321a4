"""Pictures: decoded, turned the right way up, made smaller, and encoded anew without what else they held."""

import io
import warnings
from typing import TYPE_CHECKING, BinaryIO

from clew.reading.formats.out import Out, Refused
from clew.reading.kinds import image_type

if TYPE_CHECKING:
    from PIL import Image

MOST_BYTES = 20_000_000
MOST_PIXELS = 50_000_000
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP")  # no other decoder runs, whatever the bytes say
_QUALITY = 85
_ORIENTATION = 0x0112


def read(file: BinaryIO, longest: int, out: Out) -> None:
    """Write a picture whose longer side is at most ``longest`` pixels; of an animation, the first frame.

    Raises:
        Refused: it is none of JPEG, PNG, GIF and WebP, is larger than 20 MB or 50 megapixels, or is damaged.
    """
    data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise Refused("invalid_file", "The image is larger than 20 MB.")
    if image_type(data[:12]) is None:
        raise Refused("unsupported_file", "The image must be a JPEG, PNG, GIF or WebP.")

    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    warnings.simplefilter("ignore")  # of damaged EXIF data and the like: the picture can be read
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise _too_many_pixels()
            # A JPEG that is several times too large is decoded as a smaller one, in a fraction of the time.
            opened.draft("RGB", (longest, longest))
            picture = _plain(opened)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels() from None
    turn = _turn(opened)
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=2.0)
    _send(picture if turn is None else picture.transpose(turn), out)


def _turn(picture: "Image.Image") -> "Image.Transpose | None":
    """Return how a picture must be turned to be seen as it was taken: Exif 3.0, 4.6.4, tag Orientation."""
    from PIL import Image

    try:
        orientation = picture.getexif().get(_ORIENTATION)
    except Exception:  # whatever is wrong with data that will be dropped, the picture is there
        return None
    return {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation if isinstance(orientation, int) else 1)


def _plain(picture: "Image.Image") -> "Image.Image":
    """Return a picture in RGB, or in RGBA where some of it is transparent. Decodes it."""
    if picture.mode.startswith("I") or picture.mode == "F":  # 16 bits of grey; others are read as 8 bits
        return picture.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        if picture.getchannel("A").getextrema() != (255, 255):
            return picture
    return picture.convert("RGB")


def _send(picture: "Image.Image", out: Out) -> None:
    transparent = picture.mode == "RGBA"
    encoded = io.BytesIO()
    bare = picture.copy()
    bare.info = {}
    if transparent:
        bare.save(encoded, "PNG")
    else:
        bare.save(encoded, "JPEG", quality=_QUALITY)
    out.image(encoded.getvalue(), "image/png" if transparent else "image/jpeg", bare.width, bare.height)


def _too_many_pixels() -> Refused:
    return Refused("invalid_file", f"The image has over {MOST_PIXELS // 1_000_000} megapixels.")
