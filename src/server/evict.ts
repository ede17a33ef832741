/** Takes a node out of the datastore with what hangs on it. */
import type { SpiffeId } from "../spiffe/id.ts";
import type { AttestedNode, DataStore } from "./datastore/datastore.ts";

const JOIN_TOKEN_AGENT = "/spire/agent/join_token/";

/** Deletes a node and, of one that spent a join token, its alias. Run it in a transaction. */
export async function evict(
  tx: Pick<DataStore, "nodes" | "entries">,
  agentId: SpiffeId,
): Promise<AttestedNode | undefined> {
  const node = await tx.nodes.delete(agentId);
  if (node !== undefined) await deleteTokenAlias(tx, agentId);
  return node;
}

/** Deletes the alias that `CreateJoinToken` made: the token is spent, so nobody can ever be below it again. */
export async function deleteTokenAlias(tx: Pick<DataStore, "entries">, agentId: SpiffeId): Promise<void> {
  if (!agentId.includes(JOIN_TOKEN_AGENT)) return;
  const { items } = await tx.entries.list({ parentId: agentId }, { size: 0, token: "" });
  for (const { entryId, selectors } of items) {
    const [selector, ...more] = selectors;
    if (more.length === 0 && selector?.type === "spiffe_id" && selector.value === agentId) {
      await tx.entries.delete(entryId);
    }
  }
}
