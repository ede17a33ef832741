/** Where log lines go: standard output or a file. A full disk or a closed pipe loses lines, never the process. */
import { closeSync, openSync, writeSync } from "node:fs";
import { AgentError } from "./errors.ts";

const STDOUT = 1;
/** As SPIRE creates its log files. */
const FILE_MODE = 0o640;

/** `writeSync` as the sink uses it: returns how many bytes were taken. */
export type Write = (fd: number, bytes: Uint8Array) => number;

/** Writes whole lines, synchronously, so that the last words of a crashing process are kept. */
export class LogSink {
  #path: string | undefined;
  readonly #write: Write;
  #fd: number | undefined;
  /** What a write that came to an end too early left over, so that no line starts within another. */
  #rest: Uint8Array = new Uint8Array();
  #lost = 0;

  /** `path` absent: standard output. Throws `FAILED_PRECONDITION` when the file cannot be opened. */
  constructor(path: string | undefined, write: Write = writeSync) {
    this.#path = path;
    this.#write = write;
    this.#fd = path === undefined ? STDOUT : openFile(path);
  }

  /** Lines that could not be written since the last call of `recover`. */
  get lost(): number {
    return this.#lost;
  }

  /** Tells of lost lines with `notice`, and forgets them if that could be written. */
  recover(notice: string): void {
    const before = this.#lost;
    this.#lost = this.#put(notice) ? 0 : before;
  }

  /** Writes a line that ends in a line feed, or counts it as lost. Never throws. */
  write(line: string): void {
    if (!this.#put(line)) this.#lost += 1;
  }

  #put(line: string): boolean {
    if (this.#fd === undefined) return false;
    try {
      if (this.#rest.length > 0) this.#rest = this.#rest.subarray(this.#write(this.#fd, this.#rest));
      if (this.#rest.length > 0) return false;
      const bytes = Buffer.from(line);
      this.#rest = bytes.subarray(this.#write(this.#fd, bytes));
      return true;
    } catch {
      // ENOSPC, EPIPE, EAGAIN, EIO: nobody is left to be told.
      return false;
    }
  }

  /**
   * Opens the file anew by its name, after it was moved away, or another one (`null`: standard output). Keeps what it
   * has and throws `FAILED_PRECONDITION` on failure.
   */
  reopen(path: string | null = this.#path ?? null): void {
    if (this.#fd === undefined || (path === null && this.#path === undefined)) return;
    const fresh = path === null ? STDOUT : openFile(path);
    if (this.#path !== undefined) closeQuietly(this.#fd);
    this.#path = path ?? undefined;
    this.#fd = fresh;
    this.#rest = new Uint8Array();
  }

  /** Closes the file; later lines are lost. */
  close(): void {
    if (this.#path !== undefined && this.#fd !== undefined) closeQuietly(this.#fd);
    this.#fd = undefined;
  }
}

function openFile(path: string): number {
  try {
    return openSync(path, "a", FILE_MODE);
  } catch (cause) {
    throw new AgentError("FAILED_PRECONDITION", `cannot open the log file ${path}`, { cause });
  }
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // Nothing is lost: every line was written before.
  }
}
