/** The line that says what is being measured: rewritten in place on a terminal, one line per scenario elsewhere. */

/** A progress line on standard error. */
export class Progress implements Disposable {
  readonly #total: number;
  readonly #started = Date.now();
  readonly #ticker: NodeJS.Timeout | undefined;
  #at = 0;
  #name = "";
  #doing = "";

  constructor(total: number) {
    this.#total = total;
    this.#ticker = process.stderr.isTTY ? setInterval(() => this.#draw(), 1_000) : undefined;
    this.#ticker?.unref();
  }

  /** The next scenario begins. */
  next(name: string): void {
    this.#at++;
    this.#name = name;
    if (this.#ticker === undefined) process.stderr.write(`${this.#line()}\n`);
  }

  /** What it does now. */
  say(doing: string): void {
    this.#doing = doing;
    this.#draw();
  }

  #line(): string {
    const seconds = Math.round((Date.now() - this.#started) / 1_000);
    return `[${this.#at}/${this.#total}] ${this.#name} (${seconds} s)`;
  }

  #draw(): void {
    if (this.#ticker !== undefined) process.stderr.write(`\r\u001b[K${this.#line()}: ${this.#doing}`);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#ticker);
    if (this.#ticker !== undefined) process.stderr.write("\r\u001b[K");
  }
}
