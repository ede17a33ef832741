/** Counts and times each method's calls, by SPIRE's metric names (`rpc_agent_v1_agent_attest_agent`). */
import { type GrpcCode, grpcCodeName } from "../lib/grpc-status.ts";
import type { Counter, Histogram, Metrics } from "../lib/metrics.ts";

interface MethodMetrics {
  readonly calls: Counter;
  readonly elapsed: Histogram;
}

/** One instance per server. Methods come from a fixed table, so the number of metrics is bounded. */
export class RequestMetrics {
  readonly #metrics: Metrics;
  readonly #byMethod = new Map<string, MethodMetrics>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** A call is over, `elapsedMs` after it came. */
  ended(method: string, code: GrpcCode, elapsedMs: number): void {
    const { calls, elapsed } = this.#of(method);
    const labels = { status: grpcCodeName(code) };
    calls.add(labels);
    elapsed.observe(elapsedMs, labels);
  }

  #of(method: string): MethodMetrics {
    const known = this.#byMethod.get(method);
    if (known !== undefined) return known;
    const name = metricName(method);
    const made = {
      calls: this.#metrics.counter(name, { help: `Calls of ${method}`, labels: ["status"] }),
      elapsed: this.#metrics.histogram(`${name}_elapsed_time`, {
        help: `Milliseconds that calls of ${method} took`,
        labels: ["status"],
      }),
    };
    this.#byMethod.set(method, made);
    return made;
  }
}

/** SPIRE's metric name of a method, given by its full name. */
export function metricName(method: string): string {
  const [, service = "", name = ""] = method.split("/");
  const short = service.replace(/^spire\.api\.server\./, "").replace(/^grpc\.health\.v1\./, "");
  return ["rpc", ...short.split("."), name].map(snakeCase).join("_");
}

function snakeCase(name: string): string {
  return name.replaceAll(/(?<=[a-z])(?=[A-Z].)|(?<=.)(?=[A-Z][a-z])/g, "_").toLowerCase();
}
