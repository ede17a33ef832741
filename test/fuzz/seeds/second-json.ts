/** JSON once more: a reader that walks, where the one under test asks `JSON.parse` and then looks for what that forgives. */

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const MAX_DEPTH = 32;

/** The object, or undefined when two readers could understand the bytes differently. */
export function readObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  const text = Buffer.from(bytes).toString();
  if (Buffer.compare(Buffer.from(text), bytes) !== 0) return undefined;
  try {
    const reader = new Reader(text);
    const value = reader.value(0);
    reader.blanks();
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject && reader.isAtEnd ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#text.length;
  }

  blanks(): void {
    while (" \t\n\r".includes(this.#text[this.#at] ?? "x")) this.#at++;
  }

  value(depth: number): unknown {
    this.blanks();
    const first = this.#text[this.#at];
    if (first === "{") return this.#object(depth + 1);
    if (first === "[") return this.#array(depth + 1);
    if (first === '"') return this.#string();
    for (const [word, value] of [
      ["true", true],
      ["false", false],
      ["null", null],
    ] as const) {
      if (!this.#text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return value;
    }
    NUMBER.lastIndex = this.#at;
    const [number] = NUMBER.exec(this.#text) ?? [];
    if (number === undefined || !Number.isFinite(Number(number))) throw new Error("no value");
    this.#at += number.length;
    return Number(number);
  }

  #object(depth: number): object {
    if (depth > MAX_DEPTH) throw new Error("too deep");
    const members = new Map<string, unknown>();
    this.#at++;
    this.blanks();
    if (this.#take("}")) return {};
    do {
      this.blanks();
      if (this.#text[this.#at] !== '"') throw new Error("no name");
      const name = this.#string();
      this.blanks();
      if (!this.#take(":") || members.has(name)) throw new Error("no colon, or twice");
      members.set(name, this.value(depth));
      this.blanks();
    } while (this.#take(","));
    if (!this.#take("}")) throw new Error("no end");
    return Object.fromEntries(members);
  }

  #array(depth: number): unknown[] {
    if (depth > MAX_DEPTH) throw new Error("too deep");
    const items: unknown[] = [];
    this.#at++;
    this.blanks();
    if (this.#take("]")) return items;
    do {
      items.push(this.value(depth));
      this.blanks();
    } while (this.#take(","));
    if (!this.#take("]")) throw new Error("no end");
    return items;
  }

  #string(): string {
    let value = "";
    for (this.#at++; ; ) {
      const unit = this.#text[this.#at++];
      if (unit === undefined || unit < " ") throw new Error("no end");
      if (unit === '"') break;
      if (unit !== "\\") {
        value += unit;
        continue;
      }
      const mark = this.#text[this.#at++] ?? "";
      const hex = mark === "u" ? this.#text.slice(this.#at, this.#at + 4) : "";
      if (/^[0-9a-fA-F]{4}$/.test(hex)) {
        value += String.fromCharCode(Number.parseInt(hex, 16));
        this.#at += 4;
      } else if (ESCAPES[mark] === undefined) throw new Error("no escape");
      else value += ESCAPES[mark];
    }
    if (!value.isWellFormed()) throw new Error("half a pair");
    return value;
  }

  #take(mark: string): boolean {
    if (this.#text[this.#at] !== mark) return false;
    this.#at++;
    return true;
  }
}
