/** A caller made of values, over a real file. */
import { closeSync, openSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import type { WorkloadPeer } from "../../../src/attestors/workload.ts";
import type { ExecutableIdentity } from "../../../src/lib/native.ts";

/** Executes `file`; everything may be changed. */
export class FakePeer implements WorkloadPeer {
  readonly pid = 4711;
  readonly uid: number;
  readonly gid = 1000;
  groups: readonly number[] = [1000];
  alive = true;
  unchanged = true;
  status: string;
  /** What the link of the executable says. */
  path: string;
  /** The file that it is. */
  file: string;
  reads: string[] = [];

  constructor(file: string, uid = 1000) {
    this.file = file;
    this.path = file;
    this.uid = uid;
    this.status = `Name:\tx\nUid:\t${uid}\t${uid}\t${uid}\t${uid}\nGid:\t1000\t1000\t1000\t1000\nGroups:\t1000 \n`;
  }

  isAlive(): boolean {
    return this.alive;
  }

  isUnchanged(): boolean {
    return this.alive && this.unchanged;
  }

  readProc(name: string): Buffer {
    this.reads.push(name);
    return Buffer.from(this.status);
  }

  executable(): ExecutableIdentity {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(this.file, { bigint: true });
    return { device: dev, inode: ino, size, mtimeNs, ctimeNs, path: this.path };
  }

  async openExecutable(): Promise<number> {
    const handle = await open(this.file);
    try {
      return openSync(`/proc/self/fd/${handle.fd}`, "r");
    } finally {
      await handle.close();
    }
  }
}

/** Whether a descriptor is still open. */
export function isOpen(fd: number): boolean {
  try {
    closeSync(fd);
    return true;
  } catch {
    return false;
  }
}
