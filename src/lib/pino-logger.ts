/** The logger of the programs: pino behind the `Logger` port, writing SPIRE's text format or JSON. */
import { type Logger as Pino, pino } from "pino";
import type { Clock } from "./clock.ts";
import type { LogFields, Logger, LogValue } from "./log.ts";
import type { LevelSwitch, LogLevel } from "./log-level.ts";
import { LogSink } from "./log-sink.ts";
import { formatText } from "./log-text.ts";

/** What a logger writes, and where. */
export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "text" | "json";
  /** Absent: standard output. */
  readonly file?: string;
  /** Whether lines name their source (`file`, `func`); costs a stack trace each. */
  readonly sourceLocation?: boolean;
}

/** A logger and the switches that belong to the whole process. */
export interface RootLogger extends Logger, LevelSwitch {
  /**
   * Opens the log file anew, after it was rotated away, or another one (`null`: standard output). Throws
   * `FAILED_PRECONDITION`, and writes on to the old one.
   */
  reopen(path?: string | null): void;
  /** Closes the log file; nothing is written any more. */
  close(): void;
}

/** pino gives a stream with this mark the values behind each line. */
const METADATA = Symbol.for("pino.metadata");
/** logrus, which SPIRE uses, spells this one level out. */
const LEVEL_NAMES: Readonly<Record<string, string>> = { warn: "warning" };
/** Names that a line uses itself; logrus moves fields of these names out of the way just so. */
const OWN_KEYS: ReadonlySet<string> = new Set(["time", "level", "msg"]);

/** Opens the log. Throws `FAILED_PRECONDITION` when the file cannot be opened. */
export function openLogger(options: LogOptions, deps: { readonly clock: Clock }): RootLogger {
  const sink = new LogSink(options.file);
  const now = (): string => new Date(deps.clock.now()).toISOString();
  const root = pino(
    {
      level: pinoLevel(options.level),
      base: null,
      messageKey: "msg",
      timestamp: () => `,"time":"${now()}"`,
      formatters: { level: (label) => ({ level: levelName(label) }) },
    },
    options.format === "json" ? jsonStream(sink, now) : textStream(sink, now),
  );
  return new RootPinoLogger(root, sink, options);
}

/** pino has no level beyond `fatal`. */
function pinoLevel(level: LogLevel): Exclude<LogLevel, "panic"> {
  return level === "panic" ? "fatal" : level;
}

interface Stream {
  write(json: string): void;
}

function jsonStream(sink: LogSink, now: () => string): Stream {
  return {
    write(json) {
      if (sink.lost > 0) {
        sink.recover(`${JSON.stringify({ level: "error", time: now(), count: sink.lost, msg: LOST })}\n`);
      }
      sink.write(json);
    },
  };
}

const LOST = "Log lines could not be written";

interface MetadataStream extends Stream {
  lastLevel: number;
  lastMsg: string;
  lastObj: LogFields;
  [METADATA]: true;
}

function textStream(sink: LogSink, now: () => string): MetadataStream {
  const labels = pino.levels.labels;
  return {
    [METADATA]: true,
    lastLevel: 0,
    lastMsg: "",
    lastObj: {},
    write() {
      if (sink.lost > 0) sink.recover(`${formatText(now(), "error", LOST, { count: sink.lost })}\n`);
      const level = levelName(labels[this.lastLevel] ?? "");
      sink.write(`${formatText(now(), level, this.lastMsg, this.lastObj)}\n`);
    },
  };
}

function levelName(label: string): string {
  return LEVEL_NAMES[label] ?? label;
}

type Severity = "error" | "warn" | "info" | "debug" | "trace";

/** Longest value in characters. Peers choose some of them, and a call may carry megabytes. */
const MAX_VALUE = 8_192;

function bounded(value: LogValue): LogValue {
  if (typeof value === "bigint") return String(value);
  if (typeof value === "string") return cut(value);
  return Array.isArray(value) ? cutList(value) : value;
}

function cut(text: string): string {
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}… (${text.length - MAX_VALUE} more)` : text;
}

/** As many items as together are no longer than one value, and at least one. */
function cutList(items: readonly string[]): readonly string[] {
  const kept: string[] = [];
  let left = MAX_VALUE;
  for (const item of items) {
    left -= item.length;
    if (left < 0 && kept.length > 0) return [...kept, `… (${items.length - kept.length} more)`];
    kept.push(cut(item));
  }
  return kept;
}

class PinoLogger implements Logger {
  readonly #pino: Pino;
  readonly #subsystem: string | undefined;
  readonly #sourceLocation: boolean;

  constructor(root: Pino, subsystem: string | undefined, sourceLocation: boolean) {
    this.#pino = root;
    this.#subsystem = subsystem;
    this.#sourceLocation = sourceLocation;
  }

  error(message: string, fields?: LogFields): void {
    this.#log("error", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#log("warn", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#log("info", message, fields);
  }

  debug(message: string, fields?: LogFields): void {
    this.#log("debug", message, fields);
  }

  trace(message: string, fields?: LogFields): void {
    this.#log("trace", message, fields);
  }

  named(subsystem: string): Logger {
    return new PinoLogger(this.#pino, subsystem, this.#sourceLocation);
  }

  #log(severity: Severity, message: string, fields: LogFields = {}): void {
    if (!this.#pino.isLevelEnabled(severity)) return;
    const plain: Record<string, LogValue> = {};
    if (this.#subsystem !== undefined) plain.subsystem_name = this.#subsystem;
    if (this.#sourceLocation) Object.assign(plain, callerOf(PinoLogger.prototype[severity]));
    for (const [key, value] of Object.entries(fields)) {
      plain[OWN_KEYS.has(key) ? `fields.${key}` : key] = bounded(value);
    }
    this.#pino[severity](plain, message);
  }
}

class RootPinoLogger extends PinoLogger implements RootLogger {
  readonly #root: Pino;
  readonly #sink: LogSink;
  #level: LogLevel;

  constructor(root: Pino, sink: LogSink, { level, sourceLocation = false }: LogOptions) {
    super(root, undefined, sourceLocation);
    this.#root = root;
    this.#sink = sink;
    this.#level = level;
  }

  get level(): LogLevel {
    return this.#level;
  }

  setLevel(level: LogLevel): void {
    this.#level = level;
    this.#root.level = pinoLevel(level);
  }

  reopen(path?: string | null): void {
    this.#sink.reopen(path);
  }

  close(): void {
    this.#sink.close();
  }
}

/** The source line that called the function `method`, from a stack trace. */
function callerOf(method: Logger[Severity]): { readonly file?: string; readonly func?: string } {
  const trace: { stack?: string } = {};
  Error.captureStackTrace(trace, method);
  const frame = trace.stack?.split("\n")[1] ?? "";
  const [, func, file] = /at (?:async )?(?:(.+?) \()?.*?([^/\\(]+:\d+):\d+\)?$/.exec(frame) ?? [];
  return { ...(file === undefined ? {} : { file }), ...(func === undefined ? {} : { func }) };
}
