/** Whether a path means to the agent the file that it means to the caller. */
import { stat } from "node:fs/promises";
import type { Clock } from "../../lib/clock.ts";
import type { ExecutableIdentity } from "../../lib/native.ts";
import type { FileWork } from "./file-work.ts";

/** How long a look counts, milliseconds. */
const VALID_MS = 1000;
/** Looks that are remembered. */
const MOST = 512;

/**
 * A process can mount anything anywhere in a namespace of its own, so its word on where its program lies counts
 * only if the agent finds the same file there.
 */
export class OwnLook {
  readonly #clock: Clock;
  readonly #work: FileWork;
  readonly #looks = new Map<string, { readonly found: boolean; readonly at: number }>();

  constructor(deps: { readonly clock: Clock; readonly work: FileWork }) {
    this.#clock = deps.clock;
    this.#work = deps.work;
  }

  /** True if the agent finds the caller's program at the caller's path. `uid` is the caller's. */
  async finds({ device, inode, path }: ExecutableIdentity, uid: number): Promise<boolean> {
    // Anything else is no path: `(unreachable)…`, or bytes that are no UTF-8.
    if (!path.startsWith("/") || path.includes("\ufffd")) return false;
    const key = `${device}:${inode}:${path}`;
    const known = this.#looks.get(key);
    if (known !== undefined && this.#clock.monotonic() - known.at < VALID_MS) return known.found;
    const found = await this.#work.run(uid, () => isFile(path, device, inode));
    this.#looks.delete(key);
    this.#looks.set(key, { found, at: this.#clock.monotonic() });
    for (const oldest of this.#looks.keys()) {
      if (this.#looks.size <= MOST) break;
      this.#looks.delete(oldest);
    }
    return found;
  }
}

async function isFile(path: string, device: bigint, inode: bigint): Promise<boolean> {
  try {
    const stats = await stat(path, { bigint: true });
    return stats.dev === device && stats.ino === inode;
  } catch {
    return false;
  }
}
