import { describe, expect, test } from "vitest";
import { AgentError } from "../../src/lib/errors.ts";
import { callCounter, noMetrics } from "../../src/lib/metrics.ts";
import { PrometheusMetrics } from "../../src/lib/prometheus.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

const prometheus = () => new PrometheusMetrics({ prefix: "spire_agent", labels: { trust_domain: "example.org" } });

describe("PrometheusMetrics", () => {
  test("renders counters, gauges and histograms under the prefix, with the common labels", async () => {
    const metrics = prometheus();
    const counter = metrics.counter("cache_hits", { help: "Hits.", labels: ["kind"] });
    counter.add({ kind: "x509" });
    counter.add({ kind: "x509" }, 2);
    metrics.gauge("cache_size", { help: "Size." }).set(7);
    metrics.gauge("uptime_in_ms", { help: "Uptime.", collect: () => 42 });
    metrics.histogram("wait", { help: "Wait.", buckets: [1, 10] }).observe(5);
    const text = await metrics.render();
    expect(text).toContain('spire_agent_cache_hits{kind="x509",trust_domain="example.org"} 3');
    expect(text).toContain('spire_agent_cache_size{trust_domain="example.org"} 7');
    expect(text).toContain('spire_agent_uptime_in_ms{trust_domain="example.org"} 42');
    expect(text).toContain('spire_agent_wait_bucket{le="1",trust_domain="example.org"} 0');
    expect(text).toContain('spire_agent_wait_bucket{le="10",trust_domain="example.org"} 1');
    expect(metrics.contentType).toContain("text/plain");
  });

  test("gives the same metric for the same name, and refuses another kind", async () => {
    const metrics = prometheus();
    metrics.counter("calls", { help: "Calls." }).add();
    metrics.counter("calls", { help: "Calls." }).add();
    expect(await metrics.render()).toContain('spire_agent_calls{trust_domain="example.org"} 2');
    expect(() => metrics.gauge("calls", { help: "Calls." })).toThrow("is a counter");
  });

  test("forgets the labels of a gauge", async () => {
    const metrics = prometheus();
    const gauge = metrics.gauge("cover", { help: "Cover.", labels: ["id"] });
    gauge.set(1, { id: "a" });
    gauge.set(1, { id: "b" });
    gauge.remove({ id: "a" });
    const text = await metrics.render();
    expect(text).not.toContain('id="a"');
    expect(text).toContain('id="b"');
  });

  test("two registries do not meet", async () => {
    const one = prometheus();
    one.counter("calls", { help: "Calls." }).add();
    expect(await prometheus().render()).not.toContain("calls");
  });
});

describe("callCounter", () => {
  test("counts by status and measures", async () => {
    const metrics = prometheus();
    const clock = new FakeClock();
    const counted = callCounter(metrics, clock, "agent_svid_rotate", { help: "Renewals.", labels: ["method"] });
    await expect(
      counted(
        async () => {
          await clock.advance(30);
          return 5;
        },
        { method: "renew" },
      ),
    ).resolves.toBe(5);
    const refused = new AgentError("PERMISSION_DENIED", "no");
    await expect(counted(() => Promise.reject(refused), { method: "attest" })).rejects.toBe(refused);
    await expect(counted(() => Promise.reject(new Error("bug")), { method: "attest" })).rejects.toThrow("bug");
    const text = await metrics.render();
    expect(text).toContain('spire_agent_agent_svid_rotate{method="renew",status="OK",trust_domain="example.org"} 1');
    expect(text).toContain('agent_svid_rotate{method="attest",status="PermissionDenied",');
    expect(text).toContain('agent_svid_rotate{method="attest",status="Internal",');
    expect(text).toContain(
      'agent_svid_rotate_elapsed_time_sum{trust_domain="example.org",method="renew",status="OK"} 30',
    );
  });

  test("works with nobody collecting", async () => {
    const counted = callCounter(noMetrics, new FakeClock(), "x", { help: "X." });
    await expect(counted(async () => "done")).resolves.toBe("done");
  });
});
