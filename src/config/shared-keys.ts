/** The keys that agent and server files have in common: logs, health checks, telemetry. */
import { LOG_LEVELS, type LogLevel } from "../lib/log-level.ts";
import { defaulted, optional, optionalSection, type Read, required, type SectionValue, section } from "./keys.ts";
import type { HealthChecksConfig, LogConfig, TelemetryConfig } from "./shared-config.ts";
import { choice, duration, flag, path, port, text, words } from "./values.ts";

/** `log_*`, which stand among the other keys of `agent` and `server`. */
export const LOG_KEYS = {
  log_level: defaulted(choice<LogLevel>(LOG_LEVELS), "info", "The least severe lines that are written."),
  log_format: defaulted(
    choice(words("text", "json")),
    "text",
    "`text`: one line of `key=value` pairs; `json`: one object per line.",
  ),
  log_file: optional(path(), "Where lines are appended; SIGUSR2 opens it anew, for log rotation.", {
    fallback: "standard output",
  }),
  log_source_location: defaulted(flag(), false, "Whether each line names the source file, line and function."),
};

const DEFAULT_OUTAGE_BUDGET_MS = 2 * 3_600_000;

/** `outage_budget`. */
export function outageBudget(meaning: string) {
  return defaulted(duration(0), DEFAULT_OUTAGE_BUDGET_MS, meaning);
}

/** `health_checks`. */
export const HEALTH_CHECKS = section(
  {
    listener_enabled: defaulted(flag(), false, "Whether there is an HTTP listener for probes."),
    bind_address: defaulted(text("address"), "localhost", "The listener's address."),
    bind_port: defaulted(port(), 80, "The listener's port."),
    live_path: defaulted(text(), "/live", "URL path that answers whether the process works."),
    ready_path: defaulted(text(), "/ready", "URL path that answers whether it can serve."),
  },
  "HTTP probes.",
);

/** `telemetry`. */
export const TELEMETRY = section(
  {
    Prometheus: optionalSection(
      {
        host: defaulted(text("address"), "localhost", "The listener's address."),
        port: required(port(), "The listener's port."),
      },
      "Serves metrics to Prometheus at `/metrics` (plain HTTP).",
    ),
  },
  "Metrics.",
);

/** The `log_*` keys as configuration. */
export function logConfig(read: Read<typeof LOG_KEYS>): LogConfig {
  return {
    level: read.log_level,
    format: read.log_format,
    ...(read.log_file === undefined ? {} : { file: read.log_file }),
    sourceLocation: read.log_source_location,
  };
}

/** The `health_checks` block as configuration. */
export function healthChecksConfig(read: SectionValue<typeof HEALTH_CHECKS>): HealthChecksConfig {
  return {
    listenerEnabled: read.listener_enabled,
    bindAddress: unbracket(read.bind_address),
    bindPort: read.bind_port,
    livePath: read.live_path,
    readyPath: read.ready_path,
  };
}

/** The `telemetry` block as configuration. */
export function telemetryConfig(read: SectionValue<typeof TELEMETRY>): TelemetryConfig {
  const { Prometheus: prometheus } = read;
  return prometheus === undefined ? {} : { prometheus: { ...prometheus, host: unbracket(prometheus.host) } };
}

/** An IPv6 address may stand in brackets; listeners want it without. */
export function unbracket(address: string): string {
  return address.replace(/^\[(.*)\]$/, "$1");
}
