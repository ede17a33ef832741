/** The tree that both readers (HCL and JSON) make of a configuration file: every value knows where it stands. */

/** Where something stands in the file. Lines and columns count from 1; columns count UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A string, from quotes or a here-document. */
export interface StringNode {
  readonly kind: "string";
  readonly value: string;
  readonly at: Position;
}

/** A number; `text` is how the file spells it. */
export interface NumberNode {
  readonly kind: "number";
  readonly value: number;
  readonly text: string;
  readonly at: Position;
}

/** `true` or `false`. */
export interface BooleanNode {
  readonly kind: "boolean";
  readonly value: boolean;
  readonly at: Position;
}

/** `null`, which only JSON has: reads as if the key were not there. */
export interface NullNode {
  readonly kind: "null";
  readonly at: Position;
}

/** `[ … ]` */
export interface ListNode {
  readonly kind: "list";
  readonly items: readonly Node[];
  readonly at: Position;
}

/**
 * `{ … }`. A key that was given as a block may occur more than once; a key that was assigned may not.
 * A label makes a level of its own, as HCL 1 has it: `a "b" { }` is `a { b { } }`.
 */
export interface ObjectNode {
  readonly kind: "object";
  readonly entries: readonly Entry[];
  readonly at: Position;
}

/** One key of an object. */
export interface Entry {
  readonly key: string;
  readonly value: Node;
  readonly at: Position;
}

/** Any value. */
export type Node = StringNode | NumberNode | BooleanNode | NullNode | ListNode | ObjectNode;

/** Deepest nesting of objects and lists (labels count). */
export const MAX_DEPTH = 64;
/** Largest file, in UTF-8 bytes. */
export const MAX_BYTES = 1 << 20;

/** A text that does not follow its format. Only the loader sees it; it becomes one line of an `AgentError`. */
export class SyntaxProblem extends Error {
  override readonly name = "SyntaxProblem";
  readonly at: Position;

  constructor(at: Position, message: string) {
    super(message);
    this.at = at;
  }
}
