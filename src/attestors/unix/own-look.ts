/** Whether a path means to the agent the file that it means to the caller. */
import { stat } from "node:fs/promises";
import type { Clock } from "../../lib/clock.ts";
import type { ExecutableIdentity } from "../../lib/native.ts";
import type { FileWork } from "./file-work.ts";

/** How long a look counts, milliseconds. */
const VALID_MS = 1000;
/** Looks that are remembered. */
const MOST = 512;
/** How long a look may take, milliseconds. */
const LIMIT_MS = 5_000;

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
  async finds({ device, inode, path }: ExecutableIdentity, uid: number, signal: AbortSignal): Promise<boolean> {
    // Anything else is no path: `(unreachable)…`, or bytes that are no UTF-8.
    if (!path.startsWith("/") || path.includes("\ufffd")) return false;
    const key = `${device}:${inode}:${path}`;
    return (
      this.#known(key) ??
      (await this.#work.run({ uid, device, limitMs: LIMIT_MS }, signal, async () => {
        // Others who came with the same program may have looked while this one waited.
        const known = this.#known(key);
        if (known !== undefined) return known;
        const found = await isFile(path, device, inode);
        this.#remember(key, found);
        return found;
      }))
    );
  }

  #known(key: string): boolean | undefined {
    const known = this.#looks.get(key);
    return known !== undefined && this.#clock.monotonic() - known.at < VALID_MS ? known.found : undefined;
  }

  #remember(key: string, found: boolean): void {
    this.#looks.delete(key);
    this.#looks.set(key, { found, at: this.#clock.monotonic() });
    for (const oldest of this.#looks.keys()) {
      if (this.#looks.size <= MOST) break;
      this.#looks.delete(oldest);
    }
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
