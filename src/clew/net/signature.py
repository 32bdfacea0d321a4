"""Signatures of webhooks, as the Standard Webhooks specification 1.0 has them (standardwebhooks.com).

The receiver computes the same over the headers and the bytes that it got: with the id it knows what it
had before, and the time stamp, which is signed too, keeps a request from being played again.
"""

import base64
import hmac

PREFIX = "whsec_"


def signed_headers(secret: str, message_id: str, seconds: int, body: bytes) -> dict[str, str]:
    """Return the headers that prove a request.

    Args:
        secret: ``whsec_`` and the key in base64.
        message_id: the same over all attempts.
        seconds: when this attempt is made, since the Unix epoch.
        body: the request's bytes.
    """
    key = base64.b64decode(secret.removeprefix(PREFIX))
    digest = hmac.digest(key, b"%s.%d.%s" % (message_id.encode(), seconds, body), "sha256")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
