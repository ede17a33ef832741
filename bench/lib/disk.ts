/** How long the disk takes to keep something: what bounds every durable commit. */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { median } from "./statistics.ts";
import { monotonicMicros } from "./worker.ts";

const TIMES = 50;
const PAGE_BYTES = 4_096;

/** Median time in µs to append a page to a file in `folder` and have it on the disk. */
export function syncMicros(folder: string): number {
  const path = join(folder, "sync-probe");
  const file = openSync(path, "w");
  try {
    const page = Buffer.alloc(PAGE_BYTES, 1);
    return median(
      Array.from({ length: TIMES }, () => {
        const from = monotonicMicros();
        writeSync(file, page);
        fdatasyncSync(file);
        return monotonicMicros() - from;
      }),
    );
  } finally {
    closeSync(file);
    rmSync(path);
  }
}
