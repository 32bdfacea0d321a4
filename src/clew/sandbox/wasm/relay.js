// Deno's main thread: hands what Clew asks to the thread that Python runs in, and runs no code of anybody.
//
// It ends the process when its input ends, whatever Python is doing, so nothing outlives its parent however that
// one died. And it can interrupt Python, which hears nothing while it computes.
//
// A request is two big-endian numbers of 32 bits, the lengths of a header (JSON) and of a body, then both.

const INTERRUPT = 2; // SIGINT, as Pyodide takes it
const signal = new Uint8Array(new SharedArrayBuffer(1));
const python = new Worker(import.meta.resolve("./runner.js"), { type: "module" });
python.onerror = () => Deno.exit(1);
python.postMessage({ signal });

const input = Deno.stdin.readable.getReader();
let unread = new Uint8Array(0);

async function next(size) {
  while (unread.length < size) {
    const { value, done } = await input.read();
    if (done) Deno.exit(0);
    const joined = new Uint8Array(unread.length + value.length);
    joined.set(unread);
    joined.set(value, unread.length);
    unread = joined;
  }
  const taken = unread.slice(0, size);
  unread = unread.subarray(size);
  return taken;
}

while (true) {
  const sizes = new DataView((await next(8)).buffer);
  const request = JSON.parse(new TextDecoder().decode(await next(sizes.getUint32(0))));
  const body = await next(sizes.getUint32(4));
  if (request.do === "interrupt") {
    Atomics.store(signal, 0, INTERRUPT);
  } else {
    python.postMessage({ request, body }, [body.buffer]);
  }
}
