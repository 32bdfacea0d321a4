"""The toolkit is a client: it brings nothing of the server with it."""

import subprocess
import sys


def test_the_toolkit_stands_without_the_server_and_without_vendors() -> None:
    program = (
        "import sys, clew.toolkit\n"
        "parts = {name.split('.')[1] for name in sys.modules if name.startswith('clew.')}\n"
        "assert parts <= {'toolkit', 'clock', 'daemons', 'ids'}, parts\n"
        "assert not {'openai', 'azure.core', 'simpleeval', 'griffe'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
