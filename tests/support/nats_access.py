"""Keys of NATS, and the configuration that the documentation gives a server."""

import base64
import json
import os
import re
from pathlib import Path

import nkeys

from clew.cli.certificates import Certificates

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


class Key:
    """A pair of keys as NATS has them."""

    def __init__(self, kind: int) -> None:
        self.seed = nkeys.encode_seed(os.urandom(32), kind).decode()
        self._pair = nkeys.from_seed(bytearray(self.seed.encode()))
        self.public = self._pair.public_key.decode()

    def jwt(self, subject: str, claims: dict[str, object]) -> str:
        """Return what this key says of another one."""
        body = {"jti": subject, "iat": 1, "iss": self.public, "sub": subject, "name": "clew", "nats": claims}
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        said = ".".join(_base64(json.dumps(part).encode()) for part in (head, body))
        return f"{said}.{_base64(self._pair.sign(said.encode()))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def example(key: Key, made: Certificates) -> str:
    """Return the configuration in the documentation, with a key, certificates, and a stranger's account."""
    block = re.search(r"```\n(jetstream \{.*?)```", OPERATIONS.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    stranger = '\n  OTHER { users = [ { user: "stranger", password: "pass" } ] }\n  CLEW {'
    replaced = {
        "jetstream { store_dir: /var/lib/nats }": "",
        "/etc/nats/cert.pem": f'"{made.cert}"',
        "/etc/nats/key.pem": f'"{made.key}"',
        "UCLEWPUBLICKEY": key.public,
        "\n  CLEW {": stranger,
    }
    text = block[1]
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return text
