/** The SHA-256 of callers' executables, computed once per file. */
import { close, fstat } from "node:fs";
import { promisify } from "node:util";
import type { Clock } from "../../lib/clock.ts";
import { AgentError } from "../../lib/errors.ts";
import type { ExecutableIdentity } from "../../lib/native.ts";
import type { WorkloadPeer } from "../workload.ts";
import type { FileWork } from "./file-work.ts";
import type { HashFile } from "./hash-thread.ts";

/** Digests that are remembered. */
const MOST = 512;
/**
 * A file that changed more recently than this is not remembered, milliseconds: within one tick of the kernel's
 * file clock it could change again and look the same.
 */
const SETTLED_MS = 2000;
/** How long a file's digest may take: a little, what slow disks need for its size, and never longer than this. */
const LIMIT_MS = { least: 10_000, most: 70_000, perByte: 1 / 20_000 };

const closeFile = promisify(close);
const statFile = promisify(fstat);

/** What the hasher needs. */
export interface HasherDeps {
  readonly clock: Clock;
  readonly work: FileWork;
  readonly hash: HashFile;
  /** Whether a file's times tell that it has changed: if not, its digest is not remembered. */
  readonly timesTell: (fd: number) => Promise<boolean>;
}

/** A file is known by device, inode, size and both times; whoever can write to it cannot keep all of them. */
export class ExecutableHasher {
  readonly #deps: HasherDeps;
  /** Least recently used first. */
  readonly #known = new Map<string, string>();
  readonly #running = new Map<string, Promise<string>>();

  constructor(deps: HasherDeps) {
    this.#deps = deps;
  }

  /** Lower-case hex. Throws when the peer no longer executes the file that `identity` names. */
  async sha256(peer: WorkloadPeer, identity: ExecutableIdentity, signal: AbortSignal): Promise<string> {
    const key = keyOf(identity);
    const known = this.#known.get(key);
    if (known !== undefined) {
      this.#known.delete(key);
      this.#known.set(key, known);
      return known;
    }
    // Another caller's attempt may fail for that caller's reasons; then this one tries by itself.
    const shared = await this.#running.get(key)?.catch(() => undefined);
    return shared ?? this.#once(peer, identity, key, signal);
  }

  #once(peer: WorkloadPeer, identity: ExecutableIdentity, key: string, signal: AbortSignal): Promise<string> {
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const attempt = this.#compute(peer, identity, key, signal).finally(() => this.#running.delete(key));
    this.#running.set(key, attempt);
    return attempt;
  }

  async #compute(peer: WorkloadPeer, identity: ExecutableIdentity, key: string, signal: AbortSignal): Promise<string> {
    const { work, hash, timesTell } = this.#deps;
    const limitMs = Math.min(LIMIT_MS.least + Number(identity.size) * LIMIT_MS.perByte, LIMIT_MS.most);
    return await work.run({ uid: peer.uid, device: identity.device, limitMs }, signal, async () => {
      const fd = await peer.openExecutable();
      try {
        await assertSame(fd, key);
        // Of the moment at which the first byte is read.
        const remember = this.#isSettled(identity) && (await timesTell(fd));
        const digest = await hash(fd, Number(identity.size));
        await assertSame(fd, key);
        if (remember) this.#remember(key, digest);
        return digest;
      } finally {
        await closeFile(fd);
      }
    });
  }

  #isSettled({ mtimeNs, ctimeNs }: ExecutableIdentity): boolean {
    const changedNs = ctimeNs > mtimeNs ? ctimeNs : mtimeNs;
    return this.#deps.clock.now() - Number(changedNs / 1_000_000n) > SETTLED_MS;
  }

  #remember(key: string, digest: string): void {
    this.#known.set(key, digest);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST) break;
      this.#known.delete(oldest);
    }
  }
}

async function assertSame(fd: number, key: string): Promise<void> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await statFile(fd, { bigint: true });
  if (keyOf({ device: dev, inode: ino, size, mtimeNs, ctimeNs }) !== key) {
    throw new AgentError("UNAVAILABLE", "the executable changed while it was hashed");
  }
}

function keyOf(identity: Omit<ExecutableIdentity, "path">): string {
  return `${identity.device}:${identity.inode}:${identity.size}:${identity.mtimeNs}:${identity.ctimeNs}`;
}
