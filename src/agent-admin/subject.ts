/** Whom a delegate asks for: a process, which is attested, or selectors, which it vouches for. */
import { ProcessPeer } from "../attestors/process-peer.ts";
import type { WorkloadPeer } from "../attestors/workload.ts";
import type { Selector as SelectorMessage } from "../gen/spire/api/types/selector.ts";
import { publicError } from "../lib/errors.ts";
import { checkSelector, type Selector } from "../spiffe/selector.ts";

/** Finds out a process's selectors. */
export type AttestProcess = (peer: WorkloadPeer, signal: AbortSignal) => Promise<readonly Selector[]>;

/** The workload of a request. */
export class Subject implements Disposable {
  readonly selectors: readonly Selector[];
  readonly #process: ProcessPeer | undefined;

  private constructor(selectors: readonly Selector[], process?: ProcessPeer) {
    this.selectors = selectors;
    this.#process = process;
  }

  /** Throws `INVALID_ARGUMENT` unless exactly one of the two is given, `UNAVAILABLE` when the process cannot be attested. */
  static async of(
    request: { readonly pid: number; readonly selectors: readonly SelectorMessage[] },
    attest: AttestProcess,
    signal: AbortSignal,
  ): Promise<Subject> {
    const { pid, selectors } = request;
    if ((pid === 0) === (selectors.length === 0)) {
      throw publicError("INVALID_ARGUMENT", "must provide either selectors or non-zero PID, but not both");
    }
    if (pid === 0) return new Subject(readSelectors(selectors));
    const process = new ProcessPeer(pid);
    try {
      return new Subject(await attest(process, signal), process);
    } catch (error) {
      process.close();
      throw error;
    }
  }

  /** Throws `UNAVAILABLE` when the process is no longer what was attested. Of selectors nothing can be said. */
  check(): void {
    if (this.#process?.isUnchanged() === false) throw publicError("UNAVAILABLE", "workload attestation failed");
  }

  [Symbol.dispose](): void {
    this.#process?.close();
  }
}

function readSelectors(given: readonly SelectorMessage[]): readonly Selector[] {
  try {
    return given.map(checkSelector);
  } catch (error) {
    throw publicError("INVALID_ARGUMENT", "could not parse provided selectors", { cause: error });
  }
}
