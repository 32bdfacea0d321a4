"""``clew code-worker`` in something like its container: python -m tests.sandbox.outer_worker USER SETTINGS

It starts in a mount namespace of its own, with the link that an image would have. SETTINGS is JSON.
"""

import json
import os
import sys

from tests.sandbox.corpus import enter, inside


def main() -> None:
    """Enter, then be one."""
    if inside() is None:
        enter(sys.argv[1], "tests.sandbox.outer_worker")
    from clew.cli.main import cli

    del os.environ["CLEW_API_KEY"]
    os.environ.update(json.loads(sys.argv[2]))
    sys.argv[1:] = ["code-worker"]
    cli()


if __name__ == "__main__":
    main()
