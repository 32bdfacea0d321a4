"""Files of conversations."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> Path:
    """Write a file as a whole or not at all, in UTF-8, for its owner alone to read."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    part.replace(path)
    return path
