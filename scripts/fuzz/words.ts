/** The constants of the code under test: what a fuzzer would have to guess. */

/** Longest text that is taken. */
const MAX_TEXT = 40;

/** Constants, each once, as bytes: numbers big-endian in every width that they fit. */
export class Words {
  readonly list: Uint8Array[] = [];
  readonly #known = new Set<string>();

  /** Takes a literal; leaves out what is neither short text nor a 32-bit number. */
  add(value: unknown): void {
    if (typeof value === "string" && value.length > 0 && value.length <= MAX_TEXT) this.#push(Buffer.from(value));
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 0xffffffff) return;
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    for (const width of [1, 2, 4]) if (value < 2 ** (8 * width)) this.#push(bytes.subarray(4 - width));
  }

  #push(bytes: Uint8Array): void {
    const key = Buffer.from(bytes).toString("latin1");
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.list.push(new Uint8Array(bytes));
  }
}
