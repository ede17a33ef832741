import { expect, test } from "vitest";
import { attest, newToken, startServer } from "../harness.ts";

test("a join token makes an agent", async () => {
  const server = await startServer();
  const token = await newToken(server);
  const svid = await attest(server, token);
  expect(svid.spiffeId).toBe(`spiffe://example.org/spire/agent/join_token/${token}`);
});
