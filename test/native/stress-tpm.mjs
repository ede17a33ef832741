/**
 * Drives the addon's TPM hard, for the sanitizers: refusals, timeouts, closes, garbage collection and the end of
 * workers while operations are under way.
 * Usage: node --expose-gc stress-tpm.mjs <addon> <facts>, where the facts are JSON of a software TPM that is only ours
 * and of keys in it. Prints `done`. It is plain JavaScript and imports nothing of ours, so that nothing else runs under
 * the sanitizer.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";

const ADDON = process.argv[2];
const addon = createRequire(import.meta.url)(ADDON);
const facts = JSON.parse(process.argv[3], (_, value) =>
  typeof value === "object" && value !== null && typeof value.hex === "string" ? Buffer.from(value.hex, "hex") : value,
);
const { tcti, pid, parent, akTemplates, ak, ek, credential, encrypted, secret, pcrs } = facts;
const LONG = 20_000;

// A fixed sequence, so that a failure comes again.
let seed = 54321;
function random(below) {
  seed = (seed * 1103515245 + 12345) % 2147483648;
  return Math.floor((seed / 2147483648) * below);
}

function countFiles() {
  return readdirSync("/proc/self/fd").length;
}

/** What a promise came to: its value, or a code. */
async function outcome(promise) {
  try {
    return await promise;
  } catch (error) {
    return error.code;
  }
}

function expect(what, actual, ...expected) {
  if (!expected.includes(actual)) throw new Error(`${what}: ${actual} in place of ${expected.join()}`);
}

const CALLS = [
  (tpm) => tpm.flushStale(),
  (tpm) => tpm.getCapability(random(12), random(0x300), 1 + random(300)),
  (tpm) => tpm.nvRead(0x01c00002 + random(3)),
  (tpm) => tpm.readPublic(random(2) === 0 ? parent : ek),
  (tpm) => tpm.pcrRead(pcrs),
  (tpm) => tpm.createAk(parent, akTemplates[0]),
  (tpm) => tpm.activateCredential(parent, ak, ek, credential, encrypted),
  (tpm) => tpm.quote(parent, ak, randomBytes(random(65)), pcrs),
];

/** Flips bits or cuts, so that the TPM and the parsers have something to refuse. */
function damaged(bytes) {
  const copy = Buffer.from(bytes).subarray(0, random(4) === 0 ? random(bytes.length + 1) : bytes.length);
  for (let flips = random(3); flips > 0 && copy.length > 0; flips--) copy[random(copy.length)] ^= 1 << random(8);
  return copy;
}

/** Every operation, as it should be and with damaged structures. */
async function refusals() {
  const tpm = await addon.openTpm(tcti, LONG);
  const got = await tpm.activateCredential(parent, ak, ek, credential, encrypted);
  if (!got.equals(secret)) throw new Error("another secret came");
  for (const template of akTemplates) await tpm.createAk(parent, template);
  for (let round = 0; round < 12; round++) for (const call of CALLS) await outcome(call(tpm));
  for (let round = 0; round < 150; round++) {
    const key = { ...ak, public: damaged(ak.public), private: damaged(ak.private) };
    const lower = { hierarchy: "owner", template: damaged(parent.template), auth: "password" };
    const results = [
      await outcome(tpm.pcrRead(damaged(pcrs))),
      await outcome(tpm.quote(parent, round % 2 === 0 ? key : ak, randomBytes(random(80)), damaged(pcrs))),
      await outcome(tpm.activateCredential(parent, ak, ek, damaged(credential), damaged(encrypted))),
      await outcome(tpm.readPublic(lower)),
      await outcome(tpm.createAk(parent, damaged(akTemplates[0]))),
    ];
    for (const [i, result] of results.entries())
      if (typeof result === "string") expect(`damaged ${i}`, result, "EINVAL", "ERR_TPM");
  }
  const wrong = [
    undefined,
    null,
    -1,
    1.5,
    2 ** 40,
    "",
    "x".repeat(5_000),
    {},
    [],
    Symbol.iterator,
    10n,
    new Float64Array(9),
  ];
  for (const a of wrong) {
    for (const b of wrong) {
      for (const name of Object.keys(tpm)) {
        if (name !== "close" && name !== "flushStale") await outcome(tpm[name](a, b, a, b, a));
        await outcome(tpm[name].call(a));
      }
      await outcome(tpm.readPublic({ hierarchy: a, template: b, auth: "password" }));
      await outcome(tpm.readPublic({ handle: a, auth: b }));
      await outcome(addon.openTpm(a, b));
    }
  }
  // A getter that closes what it is an argument of.
  const sly = {
    auth: "password",
    get handle() {
      void tpm.close();
      return 0x81010001;
    },
  };
  expect("closed by its argument", await outcome(tpm.readPublic(sly)), "ERR_TPM_CLOSED");
  await tpm.close();
}

/** Closes and refusals of turns at any moment. */
async function turns() {
  for (let round = 0; round < 40; round++) {
    const tpm = await addon.openTpm(tcti, LONG);
    const first = outcome(CALLS[random(CALLS.length)](tpm));
    const second = outcome(CALLS[random(CALLS.length)](tpm));
    if (random(2) === 0) await new Promise(setImmediate);
    const closed = [tpm.close(), tpm.close()];
    expect("a second operation", await second, "ERR_TPM_BUSY", "ERR_TPM_CLOSED");
    await first;
    await Promise.all(closed);
    expect("after close", await outcome(tpm.flushStale()), "ERR_TPM_CLOSED");
  }
}

/** Handles that nobody references, while an operation is under way and before. */
async function abandon() {
  for (let round = 0; round < 20; round++) {
    const pending = await (async () => {
      const tpm = await addon.openTpm(tcti, LONG);
      const operation = random(3) === 0 ? undefined : outcome(CALLS[random(CALLS.length)](tpm));
      if (random(3) === 0) void tpm.close();
      return { operation };
    })();
    globalThis.gc();
    await pending.operation;
    await new Promise(setImmediate);
    globalThis.gc();
  }
}

/** The TPM stops in the middle of anything, goes on, and a handle that gave up stays so. */
async function timeouts() {
  for (let round = 0; round < 10; round++) {
    const tpm = await addon.openTpm(tcti, 60);
    // It may be stopped before it takes the command, or while it works on it.
    const early = random(2) === 0;
    if (early) process.kill(pid, "SIGSTOP");
    const pending = outcome(round % 2 === 0 ? tpm.createAk(parent, akTemplates[1]) : tpm.pcrRead(pcrs));
    if (!early) process.kill(pid, "SIGSTOP");
    const result = await pending;
    if (early) expect("stopped", result, "ERR_TPM_TIMEOUT");
    if (result === "ERR_TPM_TIMEOUT") expect("given up", await outcome(tpm.flushStale()), "ERR_TPM_TIMEOUT");
    const closed = tpm.close();
    process.kill(pid, "SIGCONT");
    await closed;
    const cleaner = await addon.openTpm(tcti, LONG);
    await cleaner.flushStale();
    await cleaner.close();
  }
}

const WORKER = `
  const { parentPort, workerData } = require("worker_threads");
  const { addon, tcti, parent, template, mode } = workerData;
  require(addon).openTpm(tcti, 20000).then((tpm) => {
    if (mode === 3) { void tpm.close(); }
    const pending = tpm.createAk(parent, template);
    pending.catch(() => {});
    if (mode === 4) { void tpm.close(); }
    parentPort.postMessage("busy");
    if (mode === 1) process.exit();
    if (mode === 2) globalThis.kept = tpm;
    if (mode === 5) pending.finally(() => tpm.close());
  });
`;

/** Workers end by themselves, by process.exit and by terminate, while an operation is under way. */
async function workers() {
  for (let mode = 0; mode < 6; mode++) {
    const workerData = { addon: ADDON, tcti, parent, template: akTemplates[mode % 2], mode };
    const worker = new Worker(WORKER, { eval: true, workerData });
    const ended = once(worker, "exit");
    await once(worker, "message");
    if (mode % 2 === 0) await worker.terminate();
    await ended;
  }
}

if (addon.tpmUnavailable() !== null) throw new Error(addon.tpmUnavailable());
await refusals();
await workers(); // by now Node and the addon have opened what they keep for good
globalThis.gc();
await new Promise((done) => setTimeout(done, 50));
const before = countFiles();
await turns();
await abandon();
await timeouts();
await workers();

// What is left belongs to handles that nobody references any more.
const limit = Date.now() + 20_000;
while (countFiles() > before) {
  if (Date.now() > limit) throw new Error(`${countFiles() - before} descriptors are left open`);
  globalThis.gc();
  await new Promise((done) => setTimeout(done, 10));
}

// The end of the process, too, comes while an operation is under way.
const last = await addon.openTpm(tcti, LONG);
last.createAk(parent, akTemplates[1]).catch(() => {});
process.stdout.write("done\n", () => process.exit());
