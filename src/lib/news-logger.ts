/** A logger for what another program's data makes us say: each thing once an hour, and not without end. */
import type { Clock } from "./clock.ts";
import type { LogFields, Logger } from "./log.ts";

const PERIOD_MS = 3_600_000;
/** Different lines that are told in a period. */
const MOST = 1_000;

/** Passes on each line (message and fields) once in a period. */
export class NewsLogger implements Logger {
  readonly #inner: Logger;
  readonly #clock: Clock;
  readonly #told = new Set<string>();
  #since = Number.NEGATIVE_INFINITY;

  constructor(inner: Logger, clock: Clock) {
    this.#inner = inner;
    this.#clock = clock;
  }

  error(message: string, fields?: LogFields): void {
    if (this.#isNews(message, fields)) this.#inner.error(message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    if (this.#isNews(message, fields)) this.#inner.warn(message, fields);
  }

  info(message: string, fields?: LogFields): void {
    if (this.#isNews(message, fields)) this.#inner.info(message, fields);
  }

  debug(message: string, fields?: LogFields): void {
    if (this.#isNews(message, fields)) this.#inner.debug(message, fields);
  }

  trace(message: string, fields?: LogFields): void {
    if (this.#isNews(message, fields)) this.#inner.trace(message, fields);
  }

  named(subsystem: string): Logger {
    return new NewsLogger(this.#inner.named(subsystem), this.#clock);
  }

  #isNews(message: string, fields: LogFields = {}): boolean {
    const now = this.#clock.monotonic();
    if (now - this.#since >= PERIOD_MS) {
      this.#since = now;
      this.#told.clear();
    }
    if (this.#told.size > MOST) return false;
    const line = JSON.stringify([message, Object.entries(fields).map(([name, value]) => [name, String(value)])]);
    if (this.#told.has(line)) return false;
    this.#told.add(line);
    if (this.#told.size <= MOST) return true;
    this.#inner.warn("Further lines of this kind are left out for up to an hour");
    return false;
  }
}
