/** Remembers what agents may have, for as long as nothing changed and memory allows. */
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import type { SpiffeId } from "../../spiffe/id.ts";
import type { AuthorizedSet } from "./walk.ts";

/** References to entries that all views may hold together; the least recently used go first. */
const MAX_REFERENCES = 2_000_000;

/** An agent's set with its lookup by ID. */
export class View {
  readonly set: AuthorizedSet;
  #byId: ReadonlyMap<string, RegistrationEntry> | undefined;

  constructor(set: AuthorizedSet) {
    this.set = set;
  }

  /** The entry, if it is in the set. */
  get(entryId: string): RegistrationEntry | undefined {
    this.#byId ??= new Map(this.set.entries.map((entry) => [entry.entryId, entry]));
    return this.#byId.get(entryId);
  }
}

/** Views by agent, bounded by the entries they refer to. */
export class ViewCache {
  readonly #views = new Map<SpiffeId, View>();
  readonly #limit: number;
  #references = 0;

  constructor(limit: number = MAX_REFERENCES) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#views.size;
  }

  /** The agent's view if it still holds at `now` (ms). */
  get(agentId: SpiffeId, now: number): View | undefined {
    const view = this.#views.get(agentId);
    if (view === undefined) return undefined;
    if (now >= view.set.validUntil) {
      this.delete(agentId);
      return undefined;
    }
    this.#views.delete(agentId);
    this.#views.set(agentId, view);
    return view;
  }

  /** Remembers a view that is not in it, and forgets others if need be. */
  add(agentId: SpiffeId, view: View): void {
    this.#views.set(agentId, view);
    this.#references += weight(view);
    for (const oldest of this.#views.keys()) {
      if (this.#references <= this.#limit) break;
      this.delete(oldest);
    }
  }

  delete(agentId: SpiffeId): void {
    const view = this.#views.get(agentId);
    if (view === undefined) return;
    this.#views.delete(agentId);
    this.#references -= weight(view);
  }
}

/** An empty view takes memory too. */
function weight(view: View): number {
  return view.set.entries.length + 10;
}
