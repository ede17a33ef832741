import { expect, test } from "vitest";
import { AgentService } from "../../src/gen/spire/api/server/agent/v1/agent.ts";
import { BundleService } from "../../src/gen/spire/api/server/bundle/v1/bundle.ts";
import { GrpcCode } from "../../src/lib/grpc-status.ts";
import { DEFAULT_CALL_LIMITS } from "../../src/server/call-pools.ts";
import { TD } from "../fakes/entries.ts";
import { attest, call, converse, failure, newAgent, newToken, startServer } from "./harness.ts";

const WHOLE = { outputMask: undefined };

test("health follows what the server can do", async () => {
  const server = await startServer();
  const well = { ready: true, live: true, details: {} };
  expect(await server.server.health.report()).toEqual({ server: well, "server.ca": well, "catalog.datastore": well });
  server.clock.setWall(server.clock.now() + 8 * 24 * 3_600_000);
  expect(await server.server.health.report()).toMatchObject({
    server: well,
    "server.ca": { ready: false, live: true, details: { error: "the X509 CA has expired" } },
  });
  await server.store.bundles.delete(TD, "delete");
  expect(await server.server.health.report()).toMatchObject({ server: { ready: false, live: true } });
  await server.stop();
  expect((await server.server.health.report()).server).toMatchObject({ ready: false });
  await server.store.close();
  expect((await server.server.health.report())["catalog.datastore"]).toMatchObject({ ready: false, live: true });
});

test("strangers who keep calls open leave room for others, and are told when to come again", async () => {
  const server = await startServer({ options: { callLimits: { ...DEFAULT_CALL_LIMITS, anonymous: 3 } } });
  const token = await newToken(server);
  const { client } = await newAgent(server);
  const open = await server.connect();
  const held = [1, 2, 3].map(() => converse(open, AgentService.attestAgent, Number.POSITIVE_INFINITY));
  const stranger = await server.connect();
  const codeOfStranger = (): Promise<number> =>
    call(stranger, BundleService.getBundle, WHOLE).then(
      () => GrpcCode.OK,
      (error: { readonly code: number }) => error.code,
    );
  await expect.poll(codeOfStranger).toBe(GrpcCode.RESOURCE_EXHAUSTED);
  expect(await failure(attest(server, token))).toMatchObject({
    details: "too many calls in progress",
    types: ["type.googleapis.com/google.rpc.RetryInfo"],
  });
  // Agents and the operator do not notice.
  await call(client, BundleService.getBundle, WHOLE);
  await call(server.admin, BundleService.getBundle, WHOLE);
  // Whoever keeps silent is cut off in the end.
  await server.clock.advance(120_000);
  for (const stream of held) expect((await failure(stream.next())).code).toBe(GrpcCode.DEADLINE_EXCEEDED);
  await attest(server, token);
});

test("a server that is told to stop ends well", async () => {
  const server = await startServer();
  expect(await server.stop()).toBe("at once");
  await expect(server.running).resolves.toBeUndefined();
});
