/** A logger that keeps its lines. */
import type { LogFields, Logger } from "../../src/lib/log.ts";

/** One line. */
export interface RecordedLine {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields | undefined;
}

/** Named loggers write to the same lines. */
export class RecordingLogger implements Logger {
  readonly lines: RecordedLine[] = [];

  error(message: string, fields?: LogFields): void {
    this.lines.push({ level: "error", message, fields });
  }

  warn(message: string, fields?: LogFields): void {
    this.lines.push({ level: "warn", message, fields });
  }

  info(message: string, fields?: LogFields): void {
    this.lines.push({ level: "info", message, fields });
  }

  debug(message: string, fields?: LogFields): void {
    this.lines.push({ level: "debug", message, fields });
  }

  trace(message: string, fields?: LogFields): void {
    this.lines.push({ level: "trace", message, fields });
  }

  named(): Logger {
    return this;
  }
}
