/** A thread that reads one open file to its end and posts the SHA-256 of it; see `hash-thread.ts`. */
import { createHash } from "node:crypto";
import { readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";

const CHUNK = 1024 * 1024;
const { fd, size } = workerData as { readonly fd: number; readonly size: number };
const hash = createHash("sha256");
const buffer = Buffer.allocUnsafe(CHUNK);
let position = 0;
for (;;) {
  const count = readSync(fd, buffer, 0, CHUNK, position);
  if (count === 0) break;
  position += count;
  if (position > size) throw new Error("the file grows");
  hash.update(buffer.subarray(0, count));
}
if (position !== size) throw new Error("the file has shrunk");
parentPort?.postMessage(hash.digest("hex"));
