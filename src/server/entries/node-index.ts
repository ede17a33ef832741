/** The selectors of attested nodes, in both directions. */
import type { SpiffeId } from "../../spiffe/id.ts";
import { type Selector, selectorText } from "../../spiffe/selector.ts";

const NONE: ReadonlySet<string> = new Set();

/** Which node has which selectors, and which nodes have a selector. */
export class NodeIndex {
  readonly #texts = new Map<SpiffeId, ReadonlySet<string>>();
  readonly #nodes = new Map<string, Set<SpiffeId>>();

  /** The nodes. */
  ids(): Iterable<SpiffeId> {
    return this.#texts.keys();
  }

  /** The node's selectors as texts; none for an unknown node. */
  selectorsOf(agentId: SpiffeId): ReadonlySet<string> {
    return this.#texts.get(agentId) ?? NONE;
  }

  /** Sets a node's selectors; returns false when it has just these. */
  set(agentId: SpiffeId, selectors: readonly Selector[]): boolean {
    const texts = new Set(selectors.map(selectorText));
    const before = this.#texts.get(agentId);
    if (before?.size === texts.size && [...texts].every((text) => before.has(text))) return false;
    this.delete(agentId);
    this.#texts.set(agentId, texts.size === 0 ? NONE : texts);
    for (const text of texts) {
      const nodes = this.#nodes.get(text);
      if (nodes === undefined) this.#nodes.set(text, new Set([agentId]));
      else nodes.add(agentId);
    }
    return true;
  }

  /** Forgets a node; returns false when it is not known. */
  delete(agentId: SpiffeId): boolean {
    for (const text of this.selectorsOf(agentId)) {
      const nodes = this.#nodes.get(text);
      nodes?.delete(agentId);
      if (nodes?.size === 0) this.#nodes.delete(text);
    }
    return this.#texts.delete(agentId);
  }

  /** The nodes that have all of these selectors, looked for among those with the rarest. */
  *having(selectors: readonly Selector[]): Iterable<SpiffeId> {
    const sets: ReadonlySet<SpiffeId>[] = [];
    for (const selector of selectors) {
      const nodes = this.#nodes.get(selectorText(selector));
      if (nodes === undefined) return;
      sets.push(nodes);
    }
    sets.sort((a, b) => a.size - b.size);
    const [rarest, ...others] = sets;
    for (const agentId of rarest ?? []) if (others.every((nodes) => nodes.has(agentId))) yield agentId;
  }
}
