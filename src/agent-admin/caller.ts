/** Who may ask for the identities of others: judged at the beginning of a call and before each of its messages. */
import { publicError } from "../lib/errors.ts";
import type { Watchable } from "../lib/watchable.ts";
import type { SpiffeId } from "../spiffe/id.ts";
import type { ConnectedPeer } from "../workload-api/peer.ts";
import type { IdentitySource, WorkloadUpdate } from "../workload-api/ports.ts";
import { isSynced } from "../workload-api/served.ts";

/** A caller whose selectors are known. */
export class Delegate {
  readonly #peer: ConnectedPeer;
  readonly #allowed: ReadonlySet<SpiffeId>;
  readonly #own: Watchable<WorkloadUpdate>;

  private constructor(peer: ConnectedPeer, allowed: ReadonlySet<SpiffeId>, own: Watchable<WorkloadUpdate>) {
    this.#peer = peer;
    this.#allowed = allowed;
    this.#own = own;
  }

  /** Attests the caller and admits it. Throws `UNAVAILABLE` when it cannot be attested, and what {@link check} throws. */
  static async admit(
    source: IdentitySource<ConnectedPeer>,
    allowed: ReadonlySet<SpiffeId>,
    peer: ConnectedPeer,
    signal: AbortSignal,
  ): Promise<Delegate> {
    const own = source.subscribe(await source.attest(peer, signal));
    await untilSynced(own, signal);
    const delegate = new Delegate(peer, allowed, own);
    delegate.check();
    return delegate;
  }

  /**
   * Throws `PERMISSION_DENIED` when none of the caller's identities is a delegate's (any more), `UNAVAILABLE` when the
   * caller is not the process, executing the file, that connected.
   */
  check(): void {
    if (!this.#peer.isUnchanged()) {
      this.#peer.refuse();
      throw publicError("UNAVAILABLE", "workload attestation failed");
    }
    const { entries } = this.#own.value;
    if (entries.length === 0) throw publicError("PERMISSION_DENIED", "no identity issued");
    if (entries.some(({ spiffeId }) => this.#allowed.has(spiffeId))) return;
    throw publicError("PERMISSION_DENIED", "caller not configured as an authorized delegate");
  }
}

/** Before the first sync nobody can be told that there is nothing for them. */
export async function untilSynced(cell: Watchable<WorkloadUpdate>, signal: AbortSignal): Promise<void> {
  if (isSynced(cell.value)) return;
  for await (const update of cell.watch(signal)) if (isSynced(update)) return;
  signal.throwIfAborted();
  throw publicError("UNAVAILABLE", "agent is stopping");
}
