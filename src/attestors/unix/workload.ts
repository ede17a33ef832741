/** Attests callers by user, groups and program, with SPIRE's `unix` selectors. */
import type { Clock } from "../../lib/clock.ts";
import { AgentError } from "../../lib/errors.ts";
import type { ExecutableIdentity } from "../../lib/native.ts";
import type { Selector } from "../../spiffe/selector.ts";
import type { WorkloadAttestor, WorkloadPeer } from "../workload.ts";
import type { UnixWorkloadOptions } from "./config.ts";
import { timesTellOfChanges } from "./file-times.ts";
import { FileWork } from "./file-work.ts";
import { type HashFile, hashOnThread } from "./hash-thread.ts";
import { ExecutableHasher, type HasherDeps } from "./hasher.ts";
import { FileNames, type NameLookup } from "./names.ts";
import { OwnLook } from "./own-look.ts";
import { parseStatus } from "./status.ts";

/** What the attestor needs; the rest has defaults. */
export interface UnixWorkloadDeps {
  readonly clock: Clock;
  /** Default: the files in `/etc`. */
  readonly names?: NameLookup;
  /** Default: a thread per file. */
  readonly hash?: HashFile;
  /** Default: asks the file system. */
  readonly timesTell?: HasherDeps["timesTell"];
}

/** Sets of selectors that are remembered. */
const MOST_KNOWN = 1024;

/** Reads each file of `/proc` once for a call. */
export class UnixWorkloadAttestor implements WorkloadAttestor {
  readonly name = "unix";
  readonly #options: UnixWorkloadOptions;
  readonly #names: NameLookup;
  readonly #look: OwnLook;
  readonly #hasher: ExecutableHasher;
  /** What callers had, by their values. */
  readonly #known = new Map<string, readonly Selector[]>();

  constructor(deps: UnixWorkloadDeps, options: UnixWorkloadOptions) {
    const {
      clock,
      names = new FileNames({ clock }),
      hash = hashOnThread(clock),
      timesTell = timesTellOfChanges,
    } = deps;
    const work = new FileWork(clock);
    this.#options = options;
    this.#names = names;
    this.#look = new OwnLook({ clock, work });
    this.#hasher = new ExecutableHasher({ clock, work, hash, timesTell });
  }

  /**
   * Throws `UNAVAILABLE` when the caller's user or program changes meanwhile or since it connected, or when
   * path or digest cannot be found out; `RESOURCE_EXHAUSTED` for a program beyond `workload_size_limit`.
   */
  async attest(peer: WorkloadPeer, signal: AbortSignal): Promise<readonly Selector[]> {
    const values = this.#owner(peer);
    if (this.#options.discoverWorkloadPath) values.push(...(await this.#program(peer, signal)));
    return this.#selectors(values);
  }

  /** The same object for the same values: callers that come again cost the layers above no new comparison. */
  #selectors(values: readonly string[]): readonly Selector[] {
    // Unambiguous: a path may hold any character.
    const key = JSON.stringify(values);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const made = Object.freeze(values.map((value) => ({ type: this.name, value })));
    if (this.#known.size >= MOST_KNOWN) this.#known.clear();
    this.#known.set(key, made);
    return made;
  }

  #owner(peer: WorkloadPeer): string[] {
    const { uid, gid, supplementaryGids } = parseStatus(peer.readProc("status"));
    // Executing a set-uid program gives a process another user without that user's doing.
    if (uid !== peer.uid || gid !== peer.gid) {
      throw new AgentError("UNAVAILABLE", "the caller has changed its user or group since it connected");
    }
    const user = this.#names.user(uid);
    const values = [`uid:${uid}`, ...(user === undefined ? [] : [`user:${user}`]), `gid:${gid}`];
    const group = this.#names.group(gid);
    if (group !== undefined) values.push(`group:${group}`);
    // Nor does a group count that the caller has taken on since.
    const held = new Set(peer.groups);
    for (const id of supplementaryGids) {
      if (!held.has(id)) continue;
      values.push(`supplementary_gid:${id}`);
      const name = this.#names.group(id);
      if (name !== undefined) values.push(`supplementary_group:${name}`);
    }
    return values;
  }

  async #program(peer: WorkloadPeer, signal: AbortSignal): Promise<string[]> {
    const { workloadSizeLimit, allowOtherMountNamespaces } = this.#options;
    const program = peer.executable();
    const values: string[] = [];
    if (allowOtherMountNamespaces || (await this.#look.finds(program, peer.uid, signal)))
      values.push(`path:${program.path}`);
    if (workloadSizeLimit >= 0) {
      if (workloadSizeLimit > 0 && program.size > BigInt(workloadSizeLimit)) {
        throw new AgentError("RESOURCE_EXHAUSTED", `the caller's program is larger than ${workloadSizeLimit} bytes`);
      }
      values.push(`sha256:${await this.#hasher.sha256(peer, program, signal)}`);
    }
    if (!isSameFile(peer.executable(), program)) {
      throw new AgentError("UNAVAILABLE", "the caller has executed another program while it was attested");
    }
    return values;
  }
}

function isSameFile(a: ExecutableIdentity, b: ExecutableIdentity): boolean {
  return (
    a.device === b.device &&
    a.inode === b.inode &&
    a.size === b.size &&
    a.mtimeNs === b.mtimeNs &&
    a.ctimeNs === b.ctimeNs
  );
}
