/** The parts of a configuration that agent and server have in common, as their files describe them, after validation. */
import type { LogLevel } from "../lib/log-level.ts";

/** Where the log goes and what it looks like: the `log_*` keys. */
export interface LogConfig {
  readonly level: LogLevel;
  readonly format: "text" | "json";
  /** Absent: standard output. */
  readonly file?: string;
  /** Whether each line names the source file, line and function. */
  readonly sourceLocation: boolean;
}

/** The HTTP listener for liveness and readiness probes: the `health_checks` block. */
export interface HealthChecksConfig {
  readonly listenerEnabled: boolean;
  readonly bindAddress: string;
  readonly bindPort: number;
  readonly livePath: string;
  readonly readyPath: string;
}

/** The `telemetry` block. */
export interface TelemetryConfig {
  /** Absent: no metrics listener. */
  readonly prometheus?: { readonly host: string; readonly port: number };
}

/** What loading a configuration yields besides the typed value. */
export interface Loaded<Config> {
  /** Frozen, at every depth. */
  readonly config: Config;
  /** One line each, `file:line:column: key: text`; for the log once it is open. */
  readonly warnings: readonly string[];
}
