/** Takes the positions off a tree, for comparison. */
import type { Node } from "../../../src/config/hcl/node.ts";

/** Lists and scalars as themselves; objects as lists of pairs, because keys may repeat. */
export function plain(node: Node): unknown {
  if (node.kind === "object") return { object: node.entries.map(({ key, value }) => [key, plain(value)]) };
  if (node.kind === "list") return node.items.map(plain);
  return node.kind === "null" ? null : node.value;
}
