/** A reading position in a text that counts lines and columns, shared by the HCL and JSON readers. */
import { type Position, SyntaxProblem } from "./node.ts";

/** Reads a text forward, one UTF-16 unit at a time. `\r\n` is read as `\n`. */
export class Cursor {
  readonly text: string;
  #offset = 0;
  #line = 1;
  #lineStart = 0;

  constructor(text: string) {
    this.text = text.replaceAll("\r\n", "\n");
  }

  /** The index of the next unit. */
  get offset(): number {
    return this.#offset;
  }

  /** Where the next unit stands. */
  get position(): Position {
    return { line: this.#line, column: this.#offset - this.#lineStart + 1 };
  }

  /** The unit `ahead` of the next one; empty at the end. */
  peek(ahead = 0): string {
    return this.text.charAt(this.#offset + ahead);
  }

  /** Takes one unit; empty at the end. */
  next(): string {
    const unit = this.text.charAt(this.#offset);
    if (unit === "") return unit;
    this.#offset += 1;
    if (unit === "\n") {
      this.#line += 1;
      this.#lineStart = this.#offset;
    }
    return unit;
  }

  /** Takes `expected` if it comes next. */
  take(expected: string): boolean {
    if (!this.text.startsWith(expected, this.#offset)) return false;
    this.skip(expected.length);
    return true;
  }

  /** Takes `count` units. */
  skip(count: number): void {
    for (let left = count; left > 0; left--) this.next();
  }

  /** Takes units while the sticky pattern matches at the position; returns what it matched, maybe nothing. */
  match(sticky: RegExp): string {
    sticky.lastIndex = this.#offset;
    const found = sticky.exec(this.text)?.[0] ?? "";
    this.skip(found.length);
    return found;
  }

  /** Ends the reading with a problem at `at` (default: here). */
  fail(message: string, at: Position = this.position): never {
    throw new SyntaxProblem(at, message);
  }
}
