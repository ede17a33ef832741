/** Metrics for Prometheus, by prom-client, in a registry of their own. */
import {
  type Metric,
  Counter as PromCounter,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  Registry,
} from "prom-client";
import { type Counter, type Gauge, type Histogram, type Labels, type Metrics, MILLISECOND_BUCKETS } from "./metrics.ts";

/** How metrics appear in a scrape. */
export interface PrometheusOptions {
  /** Before each name, joined with `_`: `spire_agent` or `spire_server`. */
  readonly prefix: string;
  /** Labels of every metric, such as `trust_domain` or `host`. */
  readonly labels?: Labels;
}

/** Collects metrics and renders them in Prometheus' text format. */
export class PrometheusMetrics implements Metrics {
  readonly #registry = new Registry();
  readonly #prefix: string;
  readonly #made = new Map<string, { readonly kind: string; readonly metric: unknown }>();

  constructor(options: PrometheusOptions) {
    this.#prefix = `${options.prefix}_`;
    this.#registry.setDefaultLabels(options.labels ?? {});
  }

  /** The `Content-Type` of `render`. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The answer to a scrape. */
  async render(): Promise<string> {
    return await this.#registry.metrics();
  }

  counter(name: string, spec: Parameters<Metrics["counter"]>[1]): Counter {
    return this.#once("counter", name, (full) => {
      const metric = this.#register(new PromCounter({ ...base(full, spec), registers: [] }));
      return { add: (labels = {}, by = 1) => metric.inc(labels, by) };
    });
  }

  gauge(name: string, spec: Parameters<Metrics["gauge"]>[1]): Gauge {
    const { collect } = spec;
    return this.#once("gauge", name, (full) => {
      const metric = this.#register(
        new PromGauge({
          ...base(full, spec),
          registers: [],
          ...(collect === undefined
            ? {}
            : {
                collect(this: PromGauge): void {
                  this.set(collect());
                },
              }),
        }),
      );
      return { set: (value, labels = {}) => metric.set(labels, value), remove: (labels) => metric.remove(labels) };
    });
  }

  histogram(name: string, spec: Parameters<Metrics["histogram"]>[1]): Histogram {
    return this.#once("histogram", name, (full) => {
      const buckets = Array.from(spec.buckets ?? MILLISECOND_BUCKETS);
      const metric = this.#register(new PromHistogram({ ...base(full, spec), buckets, registers: [] }));
      return { observe: (value, labels = {}) => metric.observe(labels, value) };
    });
  }

  #once<T>(kind: string, name: string, make: (fullName: string) => T): T {
    const known = this.#made.get(name);
    if (known === undefined) {
      const metric = make(this.#prefix + name);
      this.#made.set(name, { kind, metric });
      return metric;
    }
    if (known.kind !== kind) throw new Error(`metric ${name} is a ${known.kind}, not a ${kind}`);
    return known.metric as T;
  }

  #register<M extends Metric>(metric: M): M {
    this.#registry.registerMetric(metric);
    return metric;
  }
}

function base(name: string, spec: { readonly help: string; readonly labels?: readonly string[] }) {
  return { name, help: spec.help, labelNames: Array.from(spec.labels ?? []) };
}
