/** Takes the positions off a tree, for comparison. */
import type { Node } from "../../../src/config/hcl/node.ts";

/** Lists and scalars as themselves; objects as lists of pairs, because keys may repeat. */
export function plain(node: Node): unknown {
  switch (node.kind) {
    case "object":
      return { object: node.entries.map(({ key, value }) => [key, plain(value)]) };
    case "list":
      return node.items.map(plain);
    case "null":
      return null;
    default:
      return node.value;
  }
}
