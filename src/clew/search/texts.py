"""Texts as embedders may be shown them."""


def shown(text: str, most: int) -> str:
    """Return what an embedder is shown of a text: at most ``most`` characters, each of which can be sent.

    Halves of surrogate pairs can't be encoded, and NUL ends a text for some programs. It is empty where
    nothing is to be seen.
    """
    readable = text[:most].encode("utf-8", "replace").decode("utf-8").replace("\0", " ")
    return readable if readable.strip() else ""
