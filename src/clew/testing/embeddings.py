"""Vectors from a scripted model: texts that share words are near each other, the same on every machine.

Each word is a direction of 64, taken from its hash; a text's vector is the sum of its words', of length 1.
"""

import base64
import hashlib
import math
import re
from array import array
from collections.abc import Iterator
from typing import Literal

import msgspec

from clew.testing.http1 import Step
from clew.testing.replies import error_body, json_response

DIMENSIONS = 64
_WORD = re.compile(r"\w+")


class _Wanted(msgspec.Struct):
    input: str | list[str]
    model: str
    encoding_format: Literal["float", "base64"] = "float"


def vector(text: str) -> list[float]:
    """Return a text's vector; that of a text without words is zero."""
    sums = [0.0] * DIMENSIONS
    for word in _WORD.findall(text.lower()):
        digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=2).digest()
        sums[digest[0] % DIMENSIONS] += 1.0 if digest[1] % 2 else -1.0
    length = math.hypot(*sums) or 1.0
    return [value / length for value in sums]


def embeddings(body: bytes) -> Iterator[Step]:
    """Answer ``POST /v1/embeddings`` (OpenAI API reference, "Create embeddings")."""
    try:
        wanted = msgspec.json.decode(body, type=_Wanted)
    except msgspec.DecodeError as error:
        return iter((json_response(400, error_body(str(error), "invalid_request_error")),))
    texts = [wanted.input] if isinstance(wanted.input, str) else wanted.input
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector(text), wanted.encoding_format)}
        for index, text in enumerate(texts)
    ]
    words = sum(len(_WORD.findall(text)) for text in texts)
    usage = {"prompt_tokens": words, "total_tokens": words}
    answer = {"object": "list", "data": data, "model": wanted.model, "usage": usage}
    return iter((json_response(200, answer),))


def _encoded(values: list[float], encoding: str) -> list[float] | str:
    if encoding == "float":
        return values
    floats = array("f", values)
    if floats.itemsize != 4 or array("H", [1]).tobytes()[0] != 1:
        floats.byteswap()  # the format is little-endian
    return base64.b64encode(floats.tobytes()).decode("ascii")
