import { expect, test } from "vitest";
import { DebugService } from "../../../src/gen/spire/api/server/debug/v1/debug.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { parseCertificate } from "../../../src/pki/certificate.ts";
import { entry, id, TD } from "../../fakes/entries.ts";
import { call, failure, newAgent, startServer, type TestServer } from "../harness.ts";

function info(server: TestServer) {
  return call(server.admin, DebugService.getInfo, {});
}

test("tells the uptime, what is stored, and the server's chain up to its root", async () => {
  const server = await startServer();
  await newAgent(server);
  await server.store.entries.create(entry("e", { spiffeId: id("/e") }));
  await server.clock.advance(61_500);
  const leaf = parseCertificate(server.ownSvid.value!.chain[0]!);
  const root = parseCertificate((await server.store.bundles.get(TD))!.x509Authorities[0]!.certificate);
  const seconds = (ms: number): bigint => BigInt(ms / 1000);
  expect(await info(server)).toEqual({
    uptime: 61,
    agentsCount: 1,
    entriesCount: 1,
    federatedBundlesCount: 1,
    svidChain: [
      {
        id: { trustDomain: "example.org", path: "/spire/server" },
        expiresAt: seconds(leaf.notAfter),
        subject: leaf.subject.text,
      },
      { id: { trustDomain: "example.org", path: "" }, expiresAt: seconds(root.notAfter), subject: root.subject.text },
    ],
  });
});

test("an answer is kept for five seconds", async () => {
  const server = await startServer();
  const first = await info(server);
  await server.store.entries.create(entry("e", { spiffeId: id("/e") }));
  await server.clock.advance(4_999);
  expect(await info(server)).toEqual(first);
  await server.clock.advance(1);
  expect(await info(server)).toMatchObject({ entriesCount: 1, uptime: 5 });
});

test("a server without bundle, or whose chain does not end in it, says so, and not for longer than it is true", async () => {
  const [server, other] = [await startServer(), await startServer()];
  const own = server.ownSvid.value;
  server.ownSvid.set(other.ownSvid.value);
  expect(await failure(info(server))).toMatchObject({
    code: GrpcCode.INTERNAL,
    details: "failed verification against bundle",
  });
  server.ownSvid.set(own);
  expect(await info(server)).toMatchObject({ svidChain: [{}, {}] });
  await server.clock.advance(5_000);
  await server.store.bundles.delete(TD, "delete");
  expect(await failure(info(server))).toMatchObject({
    code: GrpcCode.NOT_FOUND,
    details: "trust domain bundle not found",
  });
});
