// The thread that Python runs in. Nothing here is a wall: code in Pyodide reaches all of this thread, may change
// every function below and say to Clew what it likes. It is polite to programs that are, and no more.
//
// A reply is two big-endian numbers of 32 bits, the lengths of a header (JSON, with the request's id) and of a
// body, then both. A request is answered with any number of "log" and one "done", "refused" or "flood".

const encoder = new TextEncoder(), decoder = new TextDecoder();
const NOTHING = new Uint8Array(0);
const DATA = "/mnt/data", INCOMING = "/mnt/incoming";
const NO_SPACE = 51; // ENOSPC, as Emscripten counts
const HELD_BACK = 8192; // bytes; fewer wait for more, if something was just written
const HOLD_FOR = 20; // milliseconds
const FLOOD = 64 * 1024 * 1024; // bytes that a cell may print, whether they are dropped or not

let signal, python, files, runCell;
let image = NOTHING; // of memory
let id = "", bounds = {};
let touched = new Set(); // the files' nodes that were written since they were last told of
let told = new Map(); // names in DATA, and the nodes that they were
let used = 0, most = Infinity; // bytes in files
let printed = 0, held = [], heldBytes = 0, lastWritten = 0;

// What is printed by JavaScript would stand between replies.
console.log = console.info = console.debug = () => {};

function say(header, body = NOTHING) {
  const head = encoder.encode(JSON.stringify({ id, ...header }));
  const frame = new Uint8Array(8 + head.length + body.length);
  const sizes = new DataView(frame.buffer);
  sizes.setUint32(0, head.length);
  sizes.setUint32(4, body.length);
  frame.set(head, 8);
  frame.set(body, 8 + head.length);
  for (let at = 0; at < frame.length;) at += Deno.stdout.writeSync(frame.subarray(at));
}

function flush() {
  if (heldBytes > 0) {
    const all = new Uint8Array(heldBytes);
    let at = 0;
    for (const piece of held) {
      all.set(piece, at);
      at += piece.length;
    }
    say({ kind: "log" }, all);
  }
  held = [];
  heldBytes = 0;
  lastWritten = performance.now();
}

function print(bytes) {
  const room = Math.max(0, bounds.logs + 1 - printed); // a byte more than is kept says that there was more
  printed += bytes.length;
  if (room > 0) {
    const piece = bytes.slice(0, room);
    held.push(piece);
    heldBytes += piece.length;
    if (heldBytes >= HELD_BACK || performance.now() - lastWritten >= HOLD_FOR) flush();
  }
  if (printed > FLOOD) say({ kind: "flood" });
  return bytes.length;
}

// --- files: a bound for all of them together, and which ones were written

function sizeOfAll(node) {
  if (files.isFile(node.mode)) return node.usedBytes;
  if (!files.isDir(node.mode)) return 0;
  let sum = 0;
  for (const child of Object.values(node.contents)) {
    if (child.usedBytes !== undefined || files.isDir(child.mode)) sum += sizeOfAll(child);
  }
  return sum;
}

function resize(node, size) {
  touched.add(node);
  const more = size - node.usedBytes;
  if (more <= 0) return;
  // Deleted files are counted until the count matters.
  if (used + more > most) used = sizeOfAll(files.lookupPath("/").node);
  if (used + more > most) throw new files.ErrnoError(NO_SPACE);
  used += more;
}

function watchFiles() {
  const { stream, node } = files.filesystems.MEMFS.ops_table.file;
  const { write } = stream, { setattr } = node;
  stream.write = (opened, buffer, offset, length, position, owned) => {
    if (length > 0) resize(opened.node, position + length);
    return write(opened, buffer, offset, length, position, owned);
  };
  node.setattr = (file, change) => {
    if (change.size !== undefined && change.size !== file.usedBytes) resize(file, change.size);
    return setattr(file, change);
  };
  used = sizeOfAll(files.lookupPath("/").node);
  most = used + bounds.disk;
}

function isPlain(name) {
  return !name.startsWith(".") && encoder.encode(name).length <= 255 && !/[\u0000-\u001f\u007f\\]/.test(name);
}

function plainFiles() {
  const { node } = files.lookupPath(DATA);
  return Object.entries(node.contents).filter(([name, file]) => files.isFile(file.mode) && isPlain(name));
}

// --- what is asked

function options(folder) {
  return { indexURL: folder, jsglobals: Object.create(null), env: { HOME: DATA, _: "python" } };
}

const asked = {
  async image({ folder, url }) {
    const { loadPyodide } = await import(url + "/pyodide.mjs");
    python = await loadPyodide({ ...options(folder), _makeSnapshot: true });
    python.runPython("import ast, linecache, traceback");
    image = python.makeMemorySnapshot();
    say({ kind: "done" });
  },

  piece({ at, size }) {
    say({ kind: "done" }, image.slice(at, at + size));
  },

  async boot({ folder, url, image, disk, printed: logs, left }, kernel) {
    const { loadPyodide } = await import(url + "/pyodide.mjs");
    bounds = { disk, logs, left };
    const started = image ? { _loadSnapshot: Deno.readFileSync(image) } : {};
    python = await loadPyodide({ ...options(folder), ...started });
    files = python.FS;
    files.mkdirTree(DATA);
    const end = { write: print, isatty: false };
    python.setStdout(end);
    python.setStderr(end);
    python.setStdin({ stdin: () => null });
    const scope = python.toPy({});
    python.runPython(decoder.decode(kernel), { globals: scope, filename: "<kernel>" });
    runCell = scope.get("run_cell");
    watchFiles();
    python.setInterruptBuffer(signal);
    say({ kind: "done" });
  },

  async run({ number, told: known }, code) {
    if (known) { // what the last cell left is known, so only what comes is news
      told = new Map(plainFiles());
      touched = new Set();
    }
    printed = 0;
    lastWritten = -Infinity;
    Atomics.store(signal, 0, 0);
    const raised = await runCell.callPromising(decoder.decode(code), number);
    flush();
    const changed = plainFiles().filter(([name, file]) => told.get(name) !== file || touched.has(file));
    changed.sort(([one], [other]) => (one < other ? -1 : 1));
    const left = changed.slice(0, bounds.left).map(([name, file]) => [name, file.usedBytes]);
    say({ kind: "done", raised, left, unseen: changed.length - left.length });
  },

  put({ name, first, last }, piece) {
    try {
      const file = files.open(INCOMING, first ? "w" : "a");
      try {
        files.write(file, piece, 0, piece.length);
      } finally {
        files.close(file);
      }
      if (last) {
        files.rename(INCOMING, `${DATA}/${name}`);
        const { node } = files.lookupPath(`${DATA}/${name}`);
        touched.delete(node);
        told.set(name, node);
      }
    } catch (error) {
      files.analyzePath(INCOMING).exists && files.unlink(INCOMING);
      return say({ kind: "refused", full: error.errno === NO_SPACE });
    }
    say({ kind: "done" });
  },

  take({ name, at, size }) {
    const found = plainFiles().find(([each]) => each === name);
    if (found === undefined) return say({ kind: "refused" });
    const [, file] = found;
    say({ kind: "done" }, file.contents.slice(at, Math.min(at + size, file.usedBytes)));
  },
};

self.onmessage = async ({ data }) => {
  if (data.signal) {
    signal = data.signal;
    return;
  }
  id = data.request.id;
  try {
    await asked[data.request.do](data.request, data.body);
  } catch { // Python itself broke: there is nothing to go on with
    flush();
    say({ kind: "broken" });
  }
};
