/** Metrics of the server as a whole, under SPIRE's names. */
import type { Clock } from "../lib/clock.ts";
import type { Metrics } from "../lib/metrics.ts";
import type { Watchable } from "../lib/watchable.ts";
import type { TrustDomain } from "../spiffe/id.ts";

/** Registers them; `active` is the authority that signs, its end in milliseconds since the Unix epoch. */
export function registerServerMetrics(
  metrics: Metrics,
  parts: { readonly clock: Clock; readonly active: Watchable<{ readonly notAfter: number } | undefined> },
  labels: { readonly version: string; readonly trustDomain: TrustDomain },
): void {
  const { clock, active } = parts;
  const startedAt = clock.monotonic();
  const trustDomain = { trust_domain_id: labels.trustDomain };
  metrics
    .gauge("started", { help: "The server runs.", labels: ["version", "trust_domain_id"] })
    .set(1, { version: labels.version, ...trustDomain });
  metrics.gauge("uptime_in_ms", {
    help: "Milliseconds since the start.",
    collect: () => clock.monotonic() - startedAt,
  });
  const expiration = metrics.gauge("manager_x509_ca_rotate_expiration", {
    help: "When the X509 CA that signs ends, in Unix seconds.",
    labels: ["trust_domain_id"],
  });
  const show = (authority: { readonly notAfter: number } | undefined): void => {
    if (authority !== undefined) expiration.set(Math.floor(authority.notAfter / 1000), trustDomain);
  };
  show(active.value);
  active.subscribe(show);
}
