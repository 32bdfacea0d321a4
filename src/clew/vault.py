"""The vault: what is kept sealed with the installation's secret, and keys made from that for each purpose.

Sealed text is ``sealed1:`` and base64 of a nonce and of AES-256-GCM's output (NIST SP 800-38D); where it
belongs is bound to it, so that it opens nowhere else.
"""

import hashlib
from base64 import b64decode, b64encode

from clew import ids

_SEALED = "sealed1:"
_NONCE = 12
_PERSON = b"clew vault"
_FINGERPRINT = b"clew fingerprint"
_CODE = b"clew code"


class Unreadable(Exception):
    """What is sealed was sealed with another secret, for another place, or is broken."""


def derived(secret: bytes, person: bytes) -> bytes:
    """Return a key for one purpose: what is known of it says nothing about those for others."""
    whole = hashlib.sha256(secret).digest()  # a key of BLAKE2b has 64 bytes at most
    return hashlib.blake2b(key=whole, digest_size=32, person=person).digest()


def fingerprint(secret: bytes) -> str:
    """Return what tells one secret from another, and nothing about either."""
    return derived(secret, _FINGERPRINT).hex()


def code_key(secret: bytes) -> str:
    """Return the key of code workers: what servers and they know each other by, and nothing else."""
    return derived(secret, _CODE).hex()


class Vault:
    """Seals text, and opens it again.

    Args:
        secret: the installation's; without one, nothing is sealed.
    """

    def __init__(self, secret: bytes | None) -> None:
        self._key = None if secret is None else derived(secret, _PERSON)

    def seal(self, text: str, place: str) -> str:
        """Return text as it may lie in a database; ``place`` says where it belongs."""
        if self._key is None:
            return text
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = ids.new_nonce(_NONCE)
        sealed = AESGCM(self._key).encrypt(nonce, text.encode(), place.encode())
        return _SEALED + b64encode(nonce + sealed).decode()

    def open(self, text: str, place: str) -> str:
        """Return what was sealed; text from before there was a seal as it is.

        Raises:
            Unreadable: it can't be opened with this installation's secret.
        """
        if not text.startswith(_SEALED):
            return text
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if self._key is None:
            raise Unreadable
        try:
            raw = b64decode(text.removeprefix(_SEALED), validate=True)
            return AESGCM(self._key).decrypt(raw[:_NONCE], raw[_NONCE:], place.encode()).decode()
        except (InvalidTag, ValueError):
            raise Unreadable from None
