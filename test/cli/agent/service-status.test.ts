import { expect, test } from "vitest";
import { serviceStatus } from "../../../src/cli/agent/service-status.ts";

const WELL = { serving: true, x509Svids: 12, connected: true, problems: new Map<string, string>() };
const SYNC = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

test.each([
  [WELL, "Serving 12 identities; server reached"],
  [{ ...WELL, x509Svids: 1 }, "Serving 1 identity; server reached"],
  [{ ...WELL, connected: false }, "Serving 12 identities; server not reached yet"],
  [
    {
      ...WELL,
      connected: false,
      lastSyncAt: SYNC,
      problems: new Map([
        ["sync", "…"],
        ["outage_cover", "…"],
      ]),
    },
    "Serving 12 identities; server away, last sync 2026-01-02T03:04:05Z; problems: outage_cover, sync",
  ],
  [{ ...WELL, serving: false, x509Svids: 0, connected: false }, "Not serving yet; server not reached yet"],
] as const)("%#: %s", (facts, line) => {
  expect(serviceStatus(facts)).toBe(line);
});
