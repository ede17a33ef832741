/**
 * Drives the addon hard, for the sanitizers: exits, closes, garbage collection and the end of workers, all at once.
 * Usage: node --expose-gc stress.mjs <addon>. Prints `done`. It is plain JavaScript and imports nothing of ours, so
 * that nothing else runs under the sanitizer.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";

const ADDON = process.argv[2];
const addon = createRequire(import.meta.url)(ADDON);
const WAYS = [undefined, { force: "pidfd-open" }, { force: "start-time" }];
const folder = mkdtempSync(join(tmpdir(), "holdfast-stress-"));
const path = join(folder, "s");
const server = createServer({ pauseOnConnect: true }).listen(path);
const accepted = [];
server.setMaxListeners(0);
server.on("connection", (socket) => accepted.push(socket.on("error", () => {})));
await once(server, "listening");

// A fixed sequence, so that a failure comes again.
let seed = 12345;
function random(below) {
  seed = (seed * 1103515245 + 12345) % 2147483648;
  return Math.floor((seed / 2147483648) * below);
}

function codeOf(work) {
  try {
    work();
    return undefined;
  } catch (error) {
    return error.code;
  }
}

function countFiles() {
  return readdirSync("/proc/self/fd").length;
}

/** Closes what it opens; by the time it opens, anything may have gone. */
function openAndClose(handle) {
  handle.openExecutable().then(closeSync, () => {});
}

/** A child with many connections, and their descriptors here. */
async function connector(connections) {
  const script = `for (let i = 0; i < ${connections}; i++) require("net").connect(process.argv[1]).on("error", () => {});
    process.stdin.resume().on("end", () => process.exit());`;
  // The child must not load the sanitizer: it would only be slower.
  const { LD_PRELOAD: _, ...env } = process.env;
  const child = spawn(process.execPath, ["-e", script, "--", path], { env, stdio: ["pipe", "ignore", "inherit"] });
  const exited = once(child, "exit");
  while (accepted.length < connections) await once(server, "connection");
  const sockets = accepted.splice(0, connections);
  const kill = async () => {
    child.kill("SIGKILL");
    await exited;
  };
  return { sockets, fds: sockets.map((socket) => socket._handle.fd), kill };
}

/** Handles in every state when their process exits; those that must be told are. */
async function exits() {
  const children = [];
  for (let i = 0; i < 4; i++) children.push(await connector(24));
  const told = { expected: 0, called: 0 };
  for (const { fds } of children) {
    for (const [index, fd] of fds.entries()) {
      const { handle } = addon.peerCredentials(fd, WAYS[random(3)]);
      const neighbour = addon.peerCredentials(fd, WAYS[random(3)]).handle;
      if (random(2) === 0) handle.executable();
      if (random(3) === 0) openAndClose(handle);
      switch (index % 6) {
        case 0: // told, closes itself and a neighbour who waits for the same exit
          told.expected++;
          neighbour.onExit(() => neighbour.close());
          handle.onExit(() => {
            told.called++;
            handle.close();
            neighbour.close();
          });
          break;
        case 1: // told; never closed
          told.expected++;
          handle.onExit(() => {
            told.called++;
            codeOf(() => handle.executable());
            openAndClose(handle);
          });
          break;
        case 2: // closed before
          handle.onExit(() => {
            throw new Error("called after close");
          });
          handle.close();
          break;
        case 3: // closed while the exit is on its way
          handle.onExit(() => {});
          setImmediate(() => handle.close());
          break;
        case 4: // opened and closed at once
          openAndClose(handle);
          handle.close();
          break;
        default: // left to the garbage collector
          handle.readProc("status");
      }
    }
  }
  globalThis.gc();
  await Promise.all(children.map(({ kill }) => kill()));
  while (told.called < told.expected) {
    globalThis.gc();
    await new Promise((done) => setTimeout(done, 10));
  }
  for (const { sockets } of children) for (const socket of sockets) socket.destroy();
}

/** Watches come and go while others fire, and then while their process dies. */
async function churn() {
  const { fds, sockets, kill } = await connector(8);
  const kept = fds.map((fd) => addon.peerCredentials(fd).handle);
  let fired = 0;
  for (const handle of kept) handle.onExit(() => fired++);
  let killed;
  for (let round = 0; round < 6000; round++) {
    if (round === 5000) killed = kill();
    if (round % 64 === 0) await new Promise(setImmediate);
    const code = codeOf(() => {
      const { handle } = addon.peerCredentials(fds[random(fds.length)], WAYS[random(3)]);
      handle.onExit(() => {});
      if (round % 3 === 0) handle.executable();
      if (round % 5 !== 0) handle.close(); // the others live until the exit
    });
    if (code !== undefined && (round < 5000 || code !== "ESRCH")) throw new Error(`${code} in round ${round}`);
  }
  await killed;
  while (fired < kept.length) await new Promise((done) => setTimeout(done, 10));
  for (const handle of kept) handle.close();
  for (const socket of sockets) socket.destroy();
}

const WORKER = `
  const { parentPort, workerData } = require("worker_threads");
  const { closeSync } = require("fs");
  const addon = require(workerData.addon);
  const handles = [];
  for (const fd of workerData.fds) {
    for (const options of workerData.ways) {
      const { handle } = addon.peerCredentials(fd, options);
      handle.onExit(() => { parentPort.postMessage("exit"); if (workerData.close) handle.close(); });
      handle.executable();
      handle.openExecutable().then(closeSync, () => {});
      handles.push(handle);
    }
  }
  parentPort.postMessage("ready");
  if (workerData.stay) setInterval(() => { for (const handle of handles) handle.isAlive(); }, 1);
  if (workerData.quit) process.exit();
`;

/** Workers end by themselves, by process.exit and by terminate, while exits and opens are under way. */
async function workers() {
  const child = await connector(6);
  const ends = [];
  for (let i = 0; i < 6; i++) {
    const workerData = {
      addon: ADDON,
      fds: child.fds,
      ways: WAYS,
      stay: i % 3 === 0,
      quit: i % 3 === 1,
      close: i % 2 === 0,
    };
    const worker = new Worker(WORKER, { eval: true, workerData, trackUnmanagedFds: false });
    const ended = once(worker, "exit");
    await once(worker, "message");
    ends.push({ worker, ended, stay: workerData.stay });
  }
  const killed = child.kill();
  for (const { worker, ended, stay } of ends) {
    if (stay) await worker.terminate();
    await ended;
  }
  await killed;
  for (const socket of child.sockets) socket.destroy();
}

/** Every function with wrong arguments and failing calls. */
async function refusals() {
  const client = connect(path);
  while (accepted.length === 0) await once(server, "connection");
  const socket = accepted.pop();
  const { handle } = addon.peerCredentials(socket._handle.fd);
  const wrong = [
    undefined,
    null,
    -1,
    1.5,
    2 ** 40,
    "",
    "\0",
    "x".repeat(70_000),
    {},
    [],
    () => {},
    Symbol.iterator,
    10n,
  ];
  for (const a of wrong) {
    for (const name of ["onExit", "readProc"]) if (typeof a !== "function") codeOf(() => handle[name](a));
    codeOf(() => addon.lockFile(a));
    if (a !== -1) codeOf(() => addon.setUmask(a));
    codeOf(() => addon.listeningPath(a));
    for (const b of wrong) {
      codeOf(() => addon.peerCredentials(a, b));
      codeOf(() => addon.peerCredentials(socket._handle.fd, { force: a, procRoot: b }));
      codeOf(() => addon.sdNotify(a, b));
      codeOf(() => addon.sdNotify(`${folder}/missing`, b));
    }
  }
  for (const fd of [0, 1, socket._handle.fd, 1_000_000]) codeOf(() => addon.listeningPath(fd));
  for (const length of [1, 2, 106, 107, 108, 109, 255, 256, 257]) {
    codeOf(() => addon.sdNotify(`/${"x".repeat(length)}`, "READY=1"));
    codeOf(() => addon.sdNotify(`@${"x".repeat(length)}`, "x".repeat(4096)));
  }
  for (let i = 0; i < 50; i++) {
    const lock = addon.lockFile(join(folder, "lock"));
    codeOf(() => addon.lockFile(join(folder, "lock")));
    lock.release();
    lock.release();
  }
  handle.onExit(() => {});
  addon.raiseFileLimit();
  addon.disableCoreDumps();
  for (const name of ["status", "stat", "cgroup", "mountinfo"]) handle.readProc(name);
  handle.close();
  client.destroy();
  socket.destroy();
}

await refusals();
await workers(); // by now Node and the addon have opened what they keep for good
const before = countFiles();
await churn();
for (let round = 0; round < 2; round++) {
  await exits();
  await workers();
}

// What is left belongs to handles that nobody references any more.
const limit = Date.now() + 20_000;
while (countFiles() > before) {
  if (Date.now() > limit) throw new Error(`${countFiles() - before} descriptors are left open`);
  globalThis.gc();
  await new Promise((done) => setTimeout(done, 10));
}
if (!readFileSync("/proc/self/maps", "utf8").includes(ADDON)) throw new Error("another addon is loaded");

// The end of the process, too, comes while a watch and an open are under way.
const last = await connector(3);
for (const [index, fd] of last.fds.entries()) {
  const { handle } = addon.peerCredentials(fd, WAYS[index]);
  handle.onExit(() => {});
  handle.openExecutable().then(
    () => {},
    () => {},
  );
}
rmSync(folder, { recursive: true, force: true });
process.stdout.write("done\n", () => process.exit());
