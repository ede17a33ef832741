/** What both daemons do to their own process: log, limits, signals, and the word to the service manager. */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { Source } from "../config/load.ts";
import type { Loaded, LogConfig, TelemetryConfig } from "../config/shared-config.ts";
import { AgentError, errorText } from "../lib/errors.ts";
import { type Metrics, noMetrics } from "../lib/metrics.ts";
import type { NativeAddon } from "../lib/native.ts";
import { openLogger, type RootLogger } from "../lib/pino-logger.ts";
import type { PrometheusMetrics } from "../lib/prometheus.ts";
import type { CliContext } from "./command.ts";
import { loadNative } from "./native.ts";
import { type Configuration, Reloader } from "./reload.ts";
import { ServiceManager } from "./service-manager.ts";

/** Files and sockets that we make are nobody else's unless they say so. */
const UMASK = 0o027;

/** What a daemon's body gets. */
export interface Daemon {
  readonly log: RootLogger;
  readonly native: NativeAddon;
  /** How many files the process may have open; `Infinity` for no limit. */
  readonly fileLimit: number;
  /** Closes what was opened, last first, after the body has ended. */
  readonly stack: AsyncDisposableStack;
  /** To be told that we serve, and how it goes. */
  readonly manager: ServiceManager;
}

/** A daemon's configuration, and what it was read from. */
export type LoadedConfig<C> = Loaded<C> & { readonly source: Source };

/** What a daemon is called, and where its configuration comes from. */
export interface DaemonOptions<C> {
  /** `agent` or `server`. */
  readonly name: "agent" | "server";
  readonly version: string;
  /** Reads and checks the configuration: at the start, and anew at each SIGHUP. Throws with every problem. */
  load(): LoadedConfig<C>;
}

/**
 * Runs a daemon's body and resolves to its exit status: 0 when it ended because it was told to. A failure goes to
 * the log, and to standard error where the log is a file. Throws what the first `load` throws.
 */
export async function runDaemon<C extends { readonly log: LogConfig }>(
  options: DaemonOptions<C>,
  context: CliContext,
  body: (config: C, daemon: Daemon) => Promise<void>,
): Promise<number> {
  const { name, version } = options;
  const started = options.load();
  const logConfig = started.config.log;
  const native = loadNative();
  native.setUmask(UMASK);
  native.disableCoreDumps();
  native.setDumpable(false);
  const log = openLog(logConfig, context);
  const reopen = (): void => {
    try {
      log.reopen();
    } catch (error) {
      log.error("Could not reopen the log file", { error: errorText(error) });
    }
  };
  process.on("SIGUSR2", reopen);
  const { clock, env, signal } = context;
  const manager = new ServiceManager({ native, env, clock, log, pid: process.pid });
  const load = () => reloadable(options.load());
  const reloader = new Reloader({ name, log, manager, monotonicUs, load }, reloadable(started));
  const reload = (): void => reloader.reload();
  process.on("SIGHUP", reload);
  using _watchdog = manager.watchdog();
  const stopping = (): void => manager.stopping();
  signal.addEventListener("abort", stopping, { once: true });
  try {
    for (const warning of started.warnings) log.warn("Configuration", { warning });
    log.info(`Starting ${name}`, { version });
    await using stack = new AsyncDisposableStack();
    const { soft: fileLimit } = native.raiseFileLimit();
    await body(started.config, { log, native, fileLimit, stack, manager });
    log.info(`${name === "agent" ? "Agent" : "Server"} stopped gracefully`);
    return 0;
  } catch (error) {
    log.error(`${name === "agent" ? "Agent" : "Server"} crashed`, { error: errorText(error) });
    if (logConfig.file !== undefined) context.err(`Error: ${errorText(error)}\n`);
    return 1;
  } finally {
    signal.removeEventListener("abort", stopping);
    process.off("SIGUSR2", reopen);
    process.off("SIGHUP", reload);
    log.close();
  }
}

function reloadable({ source, config }: LoadedConfig<{ readonly log: LogConfig }>): Configuration {
  return { source, log: config.log };
}

function openLog(config: LogConfig, context: CliContext): RootLogger {
  try {
    if (config.file !== undefined) mkdirSync(dirname(config.file), { recursive: true });
    return openLogger(config, { clock: context.clock });
  } catch (error) {
    throw new AgentError("FAILED_PRECONDITION", `log_file ${config.file} cannot be opened`, { cause: error });
  }
}

/** Metrics as the configuration asks for them; what collects them is loaded only if it does. */
export async function metricsFor(
  telemetry: TelemetryConfig,
  prefix: string,
): Promise<{ readonly metrics: Metrics; readonly prometheus: PrometheusMetrics | undefined }> {
  if (telemetry.prometheus === undefined) return { metrics: noMetrics, prometheus: undefined };
  const prometheus = new (await import("../lib/prometheus.ts")).PrometheusMetrics({ prefix });
  return { metrics: prometheus, prometheus };
}

function monotonicUs(): bigint {
  return process.hrtime.bigint() / 1_000n;
}
