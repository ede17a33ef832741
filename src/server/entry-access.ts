/** Answers which entries an agent may have from the index, no staler than need be. */
import type { Clock } from "../lib/clock.ts";
import type { RegistrationEntry } from "../spiffe/entry.ts";
import type { SpiffeId } from "../spiffe/id.ts";
import type { AuthorizedEntries, EntryIndexView } from "./ports.ts";

/** Under a load of writes the index may be a moment behind all the time; nobody waits for it longer than this. */
const LONGEST_WAIT_MS = 250;

/** Whoever created an entry, or just attested, finds what it did. */
export class EntryAccess implements AuthorizedEntries {
  readonly #index: EntryIndexView;
  readonly #clock: Clock;

  constructor(index: EntryIndexView, clock: Clock) {
    this.#index = index;
    this.#clock = clock;
  }

  async of(agentId: SpiffeId): Promise<readonly RegistrationEntry[]> {
    await this.#settled();
    return this.#index.authorizedFor(agentId);
  }

  async lookup(agentId: SpiffeId, entryIds: ReadonlySet<string>): Promise<ReadonlyMap<string, RegistrationEntry>> {
    const found = this.#found(agentId, entryIds);
    if (found.size === entryIds.size) return found;
    await this.#settled();
    return this.#found(agentId, entryIds);
  }

  #found(agentId: SpiffeId, entryIds: ReadonlySet<string>): ReadonlyMap<string, RegistrationEntry> {
    const found = new Map<string, RegistrationEntry>();
    for (const entryId of entryIds) {
      const entry = this.#index.authorizedEntry(agentId, entryId);
      if (entry !== undefined) found.set(entryId, entry);
    }
    return found;
  }

  async #settled(): Promise<void> {
    let disarm = (): void => {};
    const late = new Promise<void>((resolve) => {
      disarm = this.#clock.after(LONGEST_WAIT_MS, resolve);
    });
    await Promise.race([this.#index.settled(), late]);
    disarm();
  }
}
