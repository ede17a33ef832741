/** The health listener (`health_checks`) and the metrics listener (`telemetry`) of both programs. */
import type { HealthChecksConfig, TelemetryConfig } from "../config/shared-config.ts";
import { HttpPages, type Page } from "../lib/http-pages.ts";
import type { Logger } from "../lib/log.ts";
import type { PrometheusMetrics } from "../lib/prometheus.ts";

/** One subsystem's state. */
export interface Health {
  /** Whether it can do its work now. */
  readonly ready: boolean;
  /** Whether restarting it could not help. */
  readonly live: boolean;
  /** What a person should know; never a secret. */
  readonly details: Readonly<Record<string, string | number | boolean>>;
}

/** Every subsystem by name. */
export type HealthReport = () => Promise<Readonly<Record<string, Health>>>;

/** Opens the listeners that the configuration asks for, on `stack`. Throws `IN_USE` when a port is taken. */
export async function openPages(
  config: { readonly healthChecks: HealthChecksConfig; readonly telemetry: TelemetryConfig },
  report: HealthReport,
  metrics: PrometheusMetrics | undefined,
  log: Logger,
  stack: AsyncDisposableStack,
): Promise<void> {
  const { healthChecks, telemetry } = config;
  if (healthChecks.listenerEnabled) {
    const pages = stack.use(
      new HttpPages({
        host: healthChecks.bindAddress,
        port: healthChecks.bindPort,
        pages: new Map([
          [healthChecks.livePath, healthPage(report, "live")],
          [healthChecks.readyPath, healthPage(report, "ready")],
        ]),
        purpose: "health_checks",
        log: log.named("health"),
      }),
    );
    const port = await pages.listen();
    log.named("health").info("Serving health checks", { address: `${healthChecks.bindAddress}:${port}` });
  }
  if (telemetry.prometheus !== undefined && metrics !== undefined) {
    const { host, port } = telemetry.prometheus;
    const page: Page = async () => ({ status: 200, contentType: metrics.contentType, body: await metrics.render() });
    const pages = stack.use(
      new HttpPages({
        host,
        port,
        pages: new Map([
          ["/metrics", page],
          ["/", page],
        ]),
        purpose: "telemetry.Prometheus",
        log: log.named("telemetry"),
      }),
    );
    log.named("telemetry").info("Serving metrics", { address: `${host}:${await pages.listen()}` });
  }
}

/** 200 when every subsystem is well, else 500; the body says of each what it found, as SPIRE's does. */
export function healthPage(report: HealthReport, aspect: "live" | "ready"): Page {
  return async () => {
    const subsystems = await report();
    const well = Object.values(subsystems).every((health) => health[aspect]);
    const body = Object.fromEntries(Object.entries(subsystems).map(([name, { details }]) => [name, details]));
    return { status: well ? 200 : 500, contentType: "application/json", body: `${JSON.stringify(body)}\n` };
  };
}
