/** What time stored SVIDs are judged by. */
import { expect, test } from "vitest";
import { trustedNow } from "../../../src/agent/store/open-store.ts";
import { authorized, bundle, issued } from "../entries.ts";

const entry = authorized("web", ["unix:uid:1"]);
const stored = (syncedAt: number, notAfter: number) => ({
  bundle: bundle(1),
  federatedBundles: new Map(),
  entries: [{ entry, issued: issued(entry, notAfter) }],
  audiences: [],
  syncedAt,
});

test.each([
  ["the clock, when it is later than the last sync", 2_000, stored(1_000, 5_000), 2_000],
  ["the last sync, when the clock is behind it", 10, stored(1_000, 5_000), 1_000],
  ["the clock, when no SVID was valid at what was taken for the last sync", 10, stored(9_000, 5_000), 10],
])("%s", (_name, now, snapshot, expected) => {
  expect(trustedNow(snapshot, now)).toBe(expected);
});
