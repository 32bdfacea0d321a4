"""Files of conversations."""

from pathlib import Path


def write_whole(path: Path, text: str) -> Path:
    """Write a file as a whole or not at all, in UTF-8."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(path)
    return path
