import { expect, test } from "vitest";
import { PrometheusMetrics } from "../../src/lib/prometheus.ts";
import { registerServerMetrics } from "../../src/server/server-metrics.ts";
import { activateNext, readyCa } from "../fakes/ca.ts";
import { TD } from "../fakes/entries.ts";

test("say that the server runs and when its CA ends, also after a rotation", async () => {
  const metrics = new PrometheusMetrics({ prefix: "spire_server" });
  const { ca, deps } = await readyCa();
  registerServerMetrics(metrics, { clock: deps.clock, active: ca.x509.active }, { version: "1.2.3", trustDomain: TD });
  const expiration = (ms: number): string =>
    `spire_server_manager_x509_ca_rotate_expiration{trust_domain_id="${TD}"} ${Math.floor(ms / 1000)}\n`;
  const first = ca.x509.active.value!.notAfter;
  expect(await metrics.render()).toContain(expiration(first));
  expect(await metrics.render()).toContain(`spire_server_started{version="1.2.3",trust_domain_id="${TD}"} 1\n`);
  await deps.clock.advance(60_000);
  await ca.x509.prepare();
  await activateNext(ca);
  expect(ca.x509.active.value!.notAfter).toBe(first + 60_000);
  expect(await metrics.render()).toContain(expiration(first + 60_000));
  expect(await metrics.render()).toContain("spire_server_uptime_in_ms 60000\n");
});
