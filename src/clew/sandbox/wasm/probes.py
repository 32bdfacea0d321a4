"""The self-test: what code in Pyodide would try first, tried against a listener and a file of our own.

It reaches Deno as such code would (a function's constructor), and each attempt must be denied.
"""

import asyncio
import json

from clew.sandbox.wasm.session import WasmSession

_CODE = """
import json, pyodide_js
from pyodide.ffi import run_sync
_deno = pyodide_js.FS.readdir.constructor("port", "file", {script})
print(json.dumps(run_sync(_deno({port}, {file})).to_py()))
"""
_SCRIPT = """
const tries = {
  "read a file": () => Deno.readTextFile(file),
  "list a folder": () => Deno.readDirSync("/").next(),
  "write a file": () => Deno.writeTextFile(file + ".written", "x"),
  "link a file": () => Deno.symlink(file, file + ".link"),
  "see the environment": () => Deno.env.toObject(),
  "run a program": () => new Deno.Command(Deno.build.os === "windows" ? "cmd" : "true").output(),
  "run a program through Node": async () => (await import("node:child_process")).execSync("echo 1"),
  "read a file through Node": async () => (await import("node:fs")).readFileSync(file),
  "connect": () => Deno.connect({ port, hostname: "127.0.0.1" }),
  "fetch": () => fetch(`http://127.0.0.1:${port}/`),
  "listen": () => Deno.listen({ port: 0, hostname: "127.0.0.1" }),
  "resolve a name": () => Deno.resolveDns("localhost", "A"),
  "import over the network": () => import(`http://127.0.0.1:${port}/x.js`),
  "load a library": () => Deno.dlopen(file, {}),
  "see the system": () => Deno.hostname(),
  "keep a cache": async () => (await caches.open("clew")).put("http://clew/", new Response("1")),
  "reach the graphics card": async () => {
    if (!await navigator.gpu.requestAdapter()) throw new Error("none");
  },
  "ask for more": async () => {
    const { state } = await Deno.permissions.request({ name: "net" });
    if (state !== "granted") throw state;
  },
};
return (async () => {
  const done = [];
  for (const [name, attempt] of Object.entries(tries)) {
    try { await attempt(); done.push(name); } catch { }
  }
  return ["tried", ...done];
})();
"""


async def try_to_escape(session: WasmSession) -> str | None:
    """Return what code in a session could do that it must not, if anything.

    Raises:
        SandboxTrouble: the session can't run it.
    """
    reached = 0

    def count(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal reached
        reached += 1
        writer.close()

    async with await asyncio.start_server(count, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        code = _CODE.format(script=repr(_SCRIPT), port=port, file=repr(__file__))
        ran = await session.run(code)
    if reached:
        return "code in it reached the network"
    try:
        tried, *done = json.loads(ran.logs)
    except ValueError:
        return "its attacks could not be tried"
    if ran.raised or tried != "tried":
        return "its attacks could not be tried"
    return f"code in it could {done[0]}" if done else None
