import { expect, test } from "vitest";
import { startServer } from "../../server/harness.ts";
import { command } from "./harness.ts";

test("getinfo prints what SPIRE's prints", async () => {
  const server = await startServer();
  for (const [after, uptime] of [
    [0, "0s"],
    [59, "59s"],
    [6, "1m5s"],
    [3_540, "1h0m5s"],
    [86_456, "25h1m1s"],
  ] as const) {
    await server.clock.advance(after * 1_000);
    // The old one does not live that long.
    await server.renewOwnSvid();
    const { status, stdout } = await command(server, ["debug", "getinfo"]);
    expect(status).toBe(0);
    expect(stdout).toMatch(
      new RegExp(
        [
          "^Server Debug Info:",
          `  Uptime:                  ${uptime}`,
          "  Registered Agents:       0",
          "  Registration Entries:    0",
          "  Federated Bundles:       1",
          "  SVID Chain:",
          "    \\[0\\] SPIFFE ID:  spiffe://example.org/spire/server",
          "        Subject:    \\S.*",
          "        Expires At: 20\\d\\d-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ",
          "    \\[1\\] SPIFFE ID:  spiffe://example.org",
          "        Subject:    \\S.*",
          "        Expires At: 20\\d\\d-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ",
          "$",
        ].join("\n"),
      ),
    );
  }
  const { stdout } = await command(server, ["debug", "getinfo", "-output", "json"]);
  expect(JSON.parse(stdout)).toMatchObject({
    uptime: 90_061,
    agents_count: 0,
    svid_chain: [{ id: { trust_domain: "example.org", path: "/spire/server" } }, {}],
  });
});
