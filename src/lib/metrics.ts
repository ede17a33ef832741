/** Metrics as a port: parts ask once for the counters they need, and never learn who collects them. */
import type { Clock } from "./clock.ts";
import { grpcCodeName, toGrpcStatus } from "./grpc-status.ts";

/** Values of the labels that a metric declared; a missing one counts as empty. Never from an outsider without a bound. */
export type Labels = Readonly<Record<string, string>>;

/** What a metric is. */
export interface MetricSpec {
  /** One sentence for whoever reads the scrape. */
  readonly help: string;
  /** Names of its labels. */
  readonly labels?: readonly string[];
}

/** Only grows. */
export interface Counter {
  /** Adds `by` (default 1). */
  add(labels?: Labels, by?: number): void;
}

/** Goes up and down. */
export interface Gauge {
  set(value: number, labels?: Labels): void;
  /** Forgets the value of these labels. */
  remove(labels: Labels): void;
}

/** Counts observations in buckets. */
export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

/**
 * Makes metrics. Names are SPIRE's, without the prefix and joined with `_` (`manager_sync_fetch_entries_updates`).
 * Asking again for a name gives the same metric; asking for it as another kind is a bug and throws.
 */
export interface Metrics {
  counter(name: string, spec: MetricSpec): Counter;
  /** With `collect`, the value is asked for at each scrape instead of being set. */
  gauge(name: string, spec: MetricSpec & { readonly collect?: () => number }): Gauge;
  /** Buckets are upper bounds in ascending order; default: milliseconds from 1 to 30,000. */
  histogram(name: string, spec: MetricSpec & { readonly buckets?: readonly number[] }): Histogram;
}

/** Bounds, in milliseconds, of what a call may take. */
export const MILLISECOND_BUCKETS: readonly number[] = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000,
];

const nothing = { add() {}, set() {}, remove() {}, observe() {} };

/** Collects nothing. */
export const noMetrics: Metrics = {
  counter: () => nothing,
  gauge: () => nothing,
  histogram: () => nothing,
};

/** Runs `work`, counts it by outcome and measures how long it took; throws what `work` throws. */
export type CallCounter = <T>(work: () => Promise<T>, labels?: Labels) => Promise<T>;

/**
 * SPIRE's "call counter": `<name>` counts calls and `<name>_elapsed_time` their milliseconds, both by `status`,
 * a gRPC code such as `OK` or `PermissionDenied`.
 */
export function callCounter(metrics: Metrics, clock: Clock, name: string, spec: MetricSpec): CallCounter {
  const labels = [...(spec.labels ?? []), "status"];
  const calls = metrics.counter(name, { ...spec, labels });
  const elapsed = metrics.histogram(`${name}_elapsed_time`, {
    help: `${spec.help} (milliseconds)`,
    labels,
  });
  return async (work, extra) => {
    const started = clock.monotonic();
    let status = "OK";
    try {
      return await work();
    } catch (error) {
      status = grpcCodeName(toGrpcStatus(error).code);
      throw error;
    } finally {
      const values = { ...extra, status };
      calls.add(values);
      elapsed.observe(clock.monotonic() - started, values);
    }
  };
}
