"""Private directories, whatever the umask."""

from pathlib import Path


def private_directory(path: Path) -> Path:
    """Make a directory that only its owner can enter, unless it exists already; so too those above it.

    ``Path.mkdir(parents=True)`` gives its mode to the last one only: the others are the umask's affair.

    Raises:
        OSError: one can't be made.
    """
    for folder in (*reversed(path.parents), path):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
    return path
