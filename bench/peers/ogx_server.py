"""OGX without the internet: python ogx_server.py PORT

It wants the file of a tokenizer when it starts, and would fetch it; litellm's package brings the same file.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

if __name__ == "__main__":
    litellm = find_spec("litellm")
    assert litellm is not None
    assert litellm.origin is not None
    tokenizers = Path(litellm.origin).parent / "litellm_core_utils" / "tokenizers"
    program = str(Path(sys.executable).with_name("ogx"))
    config = str(Path(__file__).with_name("ogx.yaml"))
    arguments = [program, "run", config, "--port", sys.argv[1], "--insecure"]
    environment = {**os.environ, "TIKTOKEN_CACHE_DIR": str(tokenizers)}
    os.execve(program, arguments, environment)  # noqa: S606 - a shell would only be in the way
