"""A program beside Clew on a machine: its model, and a client that looks through a proxy.

It prints the model's URL. For each line on standard input, which is the file of an authority and a key, it
streams a run from https://clew.example.com here. Its model goes on only once its first words have come
through. It prints what it saw as JSON.
"""

import http.client
import json
import socket
import ssl
import sys
from typing import Any

from clew.testing.scripted_model import ScriptedModel

NAME = "clew.example.com"


class Connection(http.client.HTTPSConnection):
    """A connection to that name, which no name server knows."""

    def connect(self) -> None:
        """Connect to this machine."""
        plain = socket.create_connection(("127.0.0.1", 443), timeout=20)
        self.sock = self._context.wrap_socket(plain, server_hostname=NAME)  # type: ignore[attr-defined]


def look(model: ScriptedModel, authority: str, key: str) -> dict[str, Any]:
    """Return what a client sees through the proxy."""
    connection = Connection(NAME, timeout=20, context=ssl.create_default_context(cafile=authority))
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(path: str, body: dict[str, Any]) -> http.client.HTTPResponse:
        connection.request("POST", path, json.dumps(body), headers)
        return connection.getresponse()

    agent = json.loads(ask("/v1/assistants", {"model": "any"}).read())["id"]
    large = json.loads(
        ask("/v1/threads", {"messages": [{"role": "user", "content": "x" * 200_000}] * 30}).read()
    )
    reply = model.hold("one", " two")
    answer = ask("/v1/threads/runs", {"assistant_id": agent, "stream": True, "thread": {}})
    seen = []
    for line in answer:
        if line.startswith(b"data: ") and b"thread.message.delta" in line:
            seen.append(json.loads(line[6:])["delta"]["content"][0]["text"]["value"])
            reply.release()  # a proxy that holds words back never gets here
    return {"seen": seen, "large": large["object"], "status": answer.status}


def main() -> None:
    """Run the model until standard input ends."""
    with ScriptedModel() as model:
        print(model.url, flush=True)
        for line in sys.stdin:
            print(json.dumps(look(model, *line.split())), flush=True)


if __name__ == "__main__":
    main()
