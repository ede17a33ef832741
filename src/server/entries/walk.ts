/**
 * The rule of who is authorized for what: an agent may have the entries below it and below its aliases, and the
 * entries below those entries' SPIFFE IDs, to any depth. Aliases themselves it does not get.
 */
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import { isAgentId, type SpiffeId } from "../../spiffe/id.ts";
import type { EntryIndex } from "./entry-index.ts";
import type { NodeIndex } from "./node-index.ts";

/** What an agent may have at a moment. */
export interface AuthorizedSet {
  /** Each once, in no order. */
  readonly entries: readonly RegistrationEntry[];
  /** Milliseconds since the epoch: until then nothing in it expires. */
  readonly validUntil: number;
}

/** Whether the entry is past its `expiresAt`. `now` in milliseconds. */
export function isExpired(entry: Pick<RegistrationEntry, "expiresAt">, now: number): boolean {
  return entry.expiresAt > 0 && entry.expiresAt * 1000 <= now;
}

/** Walks down from an agent. An expired entry authorizes nothing below it. */
export function authorizedSet(index: EntryIndex, nodes: NodeIndex, agentId: SpiffeId, now: number): AuthorizedSet {
  const entries = new Set<RegistrationEntry>();
  const parents = new Set<SpiffeId>([agentId]);
  let validUntil = Number.POSITIVE_INFINITY;
  const usable = (entry: RegistrationEntry): boolean => {
    if (isExpired(entry, now)) return false;
    if (entry.expiresAt > 0) validUntil = Math.min(validUntil, entry.expiresAt * 1000);
    return true;
  };
  for (const alias of index.aliases.matching(nodes.selectorsOf(agentId))) {
    if (usable(alias)) parents.add(alias.spiffeId);
  }
  // A set's iteration also reaches what is added on the way, and each parent once, so that circles end.
  for (const parent of parents) {
    for (const entry of index.childrenOf(parent)) {
      if (!usable(entry)) continue;
      entries.add(entry);
      parents.add(entry.spiffeId);
    }
  }
  return { entries: [...entries], validUntil };
}

/**
 * Walks up from changed entries to the agents that may have them: the agents that a batch of changes concerns.
 * Call `add` with each entry as it was (before) and as it is (after). What one entry's walk has visited, the next
 * one's skips: whatever another change of the batch put above it meanwhile has a walk of its own.
 */
export class AffectedAgents {
  readonly agents = new Set<SpiffeId>();
  readonly #index: EntryIndex;
  readonly #nodes: NodeIndex;
  readonly #parents = new Set<SpiffeId>();
  readonly #aliases = new Set<RegistrationEntry>();

  constructor(index: EntryIndex, nodes: NodeIndex) {
    this.#index = index;
    this.#nodes = nodes;
  }

  /** Adds the agents that an entry is, or was, authorized for. */
  add(entry: RegistrationEntry): void {
    const above = [entry];
    for (let next = above.pop(); next !== undefined; next = above.pop()) {
      if (this.#index.isAlias(next)) {
        this.#addNodes(next);
        continue;
      }
      const { parentId } = next;
      if (this.#parents.has(parentId)) continue;
      this.#parents.add(parentId);
      if (isAgentId(parentId)) this.agents.add(parentId);
      above.push(...this.#index.withId(parentId));
    }
  }

  #addNodes(alias: RegistrationEntry): void {
    if (this.#aliases.has(alias)) return;
    this.#aliases.add(alias);
    for (const agentId of this.#nodes.having(alias.selectors)) this.agents.add(agentId);
  }
}
