"""What code in Pyodide tries to get out, tried: python -m tests.sandbox.wasm_corpus

Each attempt is made in the thread that Python runs in, and in a Worker that it starts. It happens as somebody
without rights, in a mount namespace of its own; both are looked at before the first attempt. The outcome is a
line of JSON: what came of each attempt, and how often a listener of ours was reached.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.sandbox.corpus import SECRET, STAGE, enter, inside, look

if TYPE_CHECKING:
    from clew.sandbox.wasm.session import WasmSession

OPEN = "read-pyodide"
"""The one attempt that must come through: who sees it held has tried nothing."""

ATTEMPTS = {
    OPEN: "return Deno.readTextFileSync(aims.pyodide + '/pyodide-lock.json').length",
    "read": "return await Deno.readTextFile(aims.file)",
    "read-passwd": "return Deno.readTextFileSync('/etc/passwd')",
    "read-proc": "return Deno.readTextFileSync(`/proc/${aims.server}/environ`)",
    "read-self": "return Deno.readTextFileSync('/proc/self/environ')",
    "read-up": "return Deno.readTextFileSync(aims.pyodide + '/../../../../../../etc/passwd')",
    "list": "return [...Deno.readDirSync('/')].length",
    "write": "Deno.writeTextFileSync(aims.folder + '/written', 'x')",
    "write-pyodide": "Deno.writeTextFileSync(aims.pyodide + '/written', 'x')",
    "temporary": "return Deno.makeTempFileSync()",
    "symlink": "Deno.symlinkSync(aims.file, aims.folder + '/link')",
    "hardlink": "Deno.linkSync(aims.file, aims.folder + '/hard')",
    "remove": "Deno.removeSync(aims.file)",
    "chmod": "Deno.chmodSync(aims.file, 0o777)",
    "chdir": "Deno.chdir('/')",
    "env": "return Deno.env.toObject()",
    "env-one": "return Deno.env.get('CLEW_API_KEY') ?? fail()",
    "env-node": "const all = (await import('node:process')).env; return Object.keys(all).length || fail()",
    "run": "return await new Deno.Command('/bin/true').output()",
    "run-deno": "return await new Deno.Command(Deno.execPath(), { args: ['--version'] }).output()",
    "listen": "return Deno.listen({ port: 0 }).addr",
    "listen-udp": "return Deno.listenDatagram({ port: 0, transport: 'udp' }).addr",
    "serve": "return Deno.serve({ port: 0 }, () => new Response('')).addr",
    "connect": "return await Deno.connect({ port: aims.port, hostname: '127.0.0.1' })",
    "connect-tls": "return await Deno.connectTls({ port: aims.port, hostname: '127.0.0.1' })",
    "connect-unix": "return await Deno.connect({ transport: 'unix', path: aims.socket })",
    "fetch": "return (await fetch(`http://127.0.0.1:${aims.port}/`)).status",
    "fetch-file": "return await (await fetch('file://' + aims.file)).text()",
    "websocket": """return await new Promise((done, fail) => {
        const opened = new WebSocket(`ws://127.0.0.1:${aims.port}/`);
        opened.onopen = done;
        opened.onerror = fail;
    })""",
    "dns": "return await Deno.resolveDns('localhost', 'A')",
    "ffi": "return Deno.dlopen('libc.so.6', { getpid: { parameters: [], result: 'i32' } })",
    "ffi-pointer": "return new Deno.UnsafePointerView(Deno.UnsafePointer.create(4096n)).getInt8()",
    "sys": "return Deno.hostname()",
    "sys-user": "return Deno.uid()",
    "kill": "Deno.kill(aims.server, 'SIGCONT')",
    "node-fs": "return (await import('node:fs')).readFileSync(aims.file, 'utf8')",
    "node-child": "return (await import('node:child_process')).execSync('/bin/true')",
    "node-net": """const { connect } = await import('node:net');
        await new Promise((done, fail) => connect(aims.port, '127.0.0.1', done).on('error', fail))""",
    "node-dgram": """const { createSocket } = await import('node:dgram');
        await new Promise((done, fail) => createSocket('udp4').on('error', fail).bind(0, done))""",
    "node-http": """const { get } = await import('node:http');
        await new Promise((done, fail) => get(`http://127.0.0.1:${aims.port}/`, done).on('error', fail))""",
    "node-os": "return (await import('node:os')).userInfo()",
    "node-require": """const { createRequire } = await import('node:module');
        return createRequire(aims.file)(aims.file)""",
    "node-addon": "(await import('node:process')).default.dlopen({ exports: {} }, 'libc.so.6')",
    "node-sqlite": """const { DatabaseSync } = await import('node:sqlite');
        return new DatabaseSync(aims.folder + '/made.db')""",
    "node-sqlite-attach": """const { DatabaseSync } = await import('node:sqlite');
        const made = new DatabaseSync(':memory:');
        made.exec(`ATTACH '${aims.folder}/attached.db' AS a; CREATE TABLE a.t (x)`)""",
    "node-inspector": "(await import('node:inspector')).open(0, '127.0.0.1')",
    "node-heap": "return (await import('node:v8')).writeHeapSnapshot(aims.folder + '/heap')",
    "node-report": """const { report } = (await import('node:process')).default;
        return report.writeReport(aims.folder + '/report') || fail()""",
    "import-http": "return await import(`http://127.0.0.1:${aims.port}/x.js`)",
    "import-file": "return await import('file://' + aims.file)",
    "import-npm": "return await import('npm:left-pad')",
    "import-jsr": "return await import('jsr:@std/path')",
    "permission": "return (await Deno.permissions.request({ name: 'net' })).state === 'granted' || fail()",
    "permission-read": """const asked = { name: 'read', path: '/' };
        return (await Deno.permissions.request(asked)).state === 'granted' || fail()""",
    "worker-permissions": """const all = { permissions: { read: true, net: true, env: true, run: true } };
        const source = 'data:application/javascript,postMessage(1)';
        await new Promise((done, fail) => {
            const made = new Worker(source, { type: 'module', deno: all });
            made.onmessage = done;
            made.onerror = (event) => { event.preventDefault(); fail(event.message); };
        })""",
    "worker-file": """await new Promise((done, fail) => {
            const made = new Worker('file://' + aims.file, { type: 'module' });
            made.onmessage = done;
            made.onerror = (event) => { event.preventDefault(); fail(event.message); };
        })""",
    "cache": """const cache = await caches.open('clew');
        await cache.put('http://clew/', new Response('x'));
        return await (await cache.match('http://clew/')).text()""",
    "local-storage": "localStorage.setItem('clew', 'x'); return localStorage.getItem('clew')",
    "kv": "return await Deno.openKv()",
    "gpu": "return await navigator.gpu.requestAdapter() ?? fail()",
    "internals": "return Deno[Deno.internal].core.ops.op_read_file_text_sync(aims.file)",
}
"""By name, what is tried; it comes through if it doesn't throw. ``aims`` says where to, ``fail`` throws."""

_PYTHON = {
    "python-file": "open(AIMS['file']).read()",
    "python-connect": "import socket; socket.create_connection(('127.0.0.1', AIMS['port']), 2)",
    "python-run": "import subprocess; subprocess.run(['/bin/true'])",
    "python-fork": "import os; os.fork()",
    "python-environ": "import os; os.environ['CLEW_API_KEY']",
    "python-js": "import js; js.Deno",
    "python-mount": """import pyodide_js
files = pyodide_js.FS
files.mkdirTree('/host')
files.mount(files.filesystems.NODEFS, files.readdir.constructor("return {root: '/etc'}")(), '/host')
print(open('/host/passwd').read())""",
    "python-micropip": "import micropip",
}

_JAVASCRIPT = """
const aims = JSON.parse(where);
const fail = () => { throw new Error("denied"); };
const Async = (async () => {}).constructor;
let late;
const waited = new Promise((_, no) => { late = setTimeout(() => no(new Error("no answer")), 5000); });
return Promise.race([new Async("aims", "fail", given)(aims, fail), waited])
  .then((got) => `THROUGH ${String(got).slice(0, 100)}`, (error) => `held ${error}`.slice(0, 200))
  .finally(() => clearTimeout(late));
"""
_WORKER = """
const source = `self.onmessage = async ({ data: { given, where } }) => {
  postMessage(await (async () => {${script}})());
}`;
const url = "data:application/javascript," + encodeURIComponent(source);
return new Promise((done) => {
  const made = new Worker(url, { type: "module" });
  made.onmessage = ({ data }) => { made.terminate(); done(data); };
  made.onerror = (event) => { event.preventDefault(); done(`held ${event.message}`); };
  made.postMessage({ given, where });
});
"""
_TRY = """
import pyodide_js
from pyodide.ffi import run_sync
_make = pyodide_js.FS.readdir.constructor
def attack(script, *given):
    print(run_sync(_make("given", "where", "script", script)(*given)))
"""


def _cells(aims: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield names of attempts, and the cells that make them; one prints THROUGH if it comes through."""
    for name, attempt in ATTEMPTS.items():
        given = f"{attempt!r}, {json.dumps(aims)!r}, {_JAVASCRIPT!r}"
        yield f"thread {name}", f"attack({_JAVASCRIPT!r}, {given})"
        yield f"worker {name}", f"attack({_WORKER!r}, {given})"
    for name, code in _PYTHON.items():
        yield f"python {name}", f"{code}\nprint('THROUGH')"


def _prepared(made: str) -> Path:
    folder = Path(made)
    folder.chmod(0o777)
    (folder / "secret.js").write_text(f"export default '{SECRET}'", "utf-8")
    return folder


def _found(folder: Path) -> str:
    found = sorted({each.name for each in folder.iterdir()} - {"secret.js", "socket"})
    return f"THROUGH {found}" if found else "held"


async def attack(mounts: str) -> dict[str, str]:
    """Make all attempts; return what came of each."""
    from clew.ids import RandomIds
    from clew.sandbox.wasm.driver import Wasm
    from clew.sandbox.wasm.pyodide import folder_of

    reached = 0

    def count(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal reached
        reached += 1
        writer.close()

    data_dir = STAGE / "cache"
    driver = Wasm(data_dir, RandomIds())
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        folder = _prepared(made)
        tcp = await asyncio.start_server(count, "127.0.0.1", 0)
        unix = await asyncio.start_unix_server(count, folder / "socket")
        aims = {
            "file": str(folder / "secret.js"),
            "folder": made,
            "server": os.getpid(),
            "port": tcp.sockets[0].getsockname()[1],
            "socket": str(folder / "socket"),
            "pyodide": str(folder_of(data_dir)),
        }
        session: WasmSession | None = None
        told: dict[str, str] = {}
        for name, code in _cells(aims):
            if session is None or session.over:
                session = await driver.start("attacked")
                look(session.pid, mounts)
                await session.run(f"{_TRY}\nAIMS = {aims!r}", 20)
            ran = await session.run(code, 20)
            told[name] = f"{ran.ended} {ran.logs}" if ran.ended or ran.raised else ran.logs.strip()
        await driver.close()
        for server in (tcp, unix):
            server.close()
        told["listener"] = "held" if not reached else f"THROUGH {reached} times"
        told["files"] = _found(folder)
    return told


def main() -> None:
    """Attack, in a namespace of our own: python -m tests.sandbox.wasm_corpus DATA_DIR"""
    mounts = inside()
    if mounts is None:
        enter("plain", "tests.sandbox.wasm_corpus", cache=sys.argv[1])
        return
    assert os.readlink("/proc/self/ns/mnt") != mounts, "no mount namespace of our own"
    assert os.geteuid() != 0, "attacks would be root's"
    print(json.dumps(asyncio.run(attack(mounts))))


if __name__ == "__main__":
    main()
