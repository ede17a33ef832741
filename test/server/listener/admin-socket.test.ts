import { chmod, mkdir, readdir, stat, symlink, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { HealthCheckResponse_ServingStatus, HealthService } from "../../../src/gen/grpc/health/v1/health.ts";
import { AgentService } from "../../../src/gen/spire/api/server/agent/v1/agent.ts";
import { TrustDomainService } from "../../../src/gen/spire/api/server/trustdomain/v1/trustdomain.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { TD } from "../../fakes/entries.ts";
import { tempFolder } from "../../fakes/temp-datastore.ts";
import { call, failure, startServer } from "../harness.ts";

test("the socket and its folder are for owner and group only", async () => {
  const { socketPath } = await startServer();
  expect((await stat(socketPath)).mode & 0o777).toBe(0o770);
  expect((await stat(dirname(socketPath))).mode & 0o777).toBe(0o750);
});

test("a socket that is served is not taken, one that is left over is", async () => {
  const first = await startServer();
  const { socketPath } = first;
  await expect(startServer({ options: { socketPath } })).rejects.toMatchObject({ code: "IN_USE" });
  await call(first.admin, AgentService.countAgents, { filter: undefined });
  await first.stop();
  const second = await startServer({ options: { socketPath } });
  await call(second.admin, AgentService.countAgents, { filter: undefined });
});

test("a folder that others may write to is refused, as is a file in the socket's place", async () => {
  const folder = await tempFolder();
  const open = join(folder, "open");
  await mkdir(open);
  await chmod(open, 0o777);
  await expect(startServer({ options: { socketPath: join(open, "api.sock") } })).rejects.toMatchObject({
    code: "FAILED_PRECONDITION",
    message: expect.stringContaining(open) as string,
  });
  await writeFile(join(folder, "file"), "");
  await expect(startServer({ options: { socketPath: join(folder, "file") } })).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
  });
});

test("nothing is made behind a folder that others may change", async () => {
  const folder = await tempFolder();
  const [open, elsewhere] = [join(folder, "open"), join(folder, "elsewhere")];
  await mkdir(open);
  await mkdir(elsewhere);
  await symlink(elsewhere, join(open, "spire-server"));
  await chmod(open, 0o777);
  const socketPath = join(open, "spire-server", "private", "api.sock");
  await expect(startServer({ options: { socketPath } })).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  expect(await readdir(elsewhere)).toEqual([]);
});

test("health is told, and only of the whole server", async () => {
  const server = await startServer();
  const check = (service: string) => call(server.admin, HealthService.check, { service });
  expect(await check("")).toEqual({ status: HealthCheckResponse_ServingStatus.SERVING });
  expect(await failure(check("other"))).toMatchObject({ code: GrpcCode.INVALID_ARGUMENT });
  expect((await failure(call(server.admin, HealthService.list, {}))).code).toBe(GrpcCode.UNIMPLEMENTED);
  await server.store.bundles.delete(TD, "delete");
  expect(await check("")).toEqual({ status: HealthCheckResponse_ServingStatus.NOT_SERVING });
});

test("services that are not built say so", async () => {
  const server = await startServer();
  const list = { outputMask: undefined, pageSize: 0, pageToken: "" };
  const refused = await failure(call(server.admin, TrustDomainService.listFederationRelationships, list));
  expect(refused.code).toBe(GrpcCode.UNIMPLEMENTED);
  const unknown = { ...AgentService.countAgents, path: "/spire.api.server.agent.v1.Agent/Nope" };
  expect((await failure(call(server.admin, unknown, { filter: undefined }))).code).toBe(GrpcCode.UNIMPLEMENTED);
});

test("a client that says nothing, or nonsense, harms nobody", async () => {
  const server = await startServer();
  const sockets = Array.from({ length: 5 }, () => connect(server.socketPath));
  sockets[0]?.write("GET / HTTP/1.1\r\n\r\n");
  sockets[1]?.write(Buffer.alloc(4096, 0xff));
  sockets[2]?.destroy();
  for (const socket of sockets) socket.on("error", () => {});
  await call(server.admin, AgentService.countAgents, { filter: undefined });
  for (const socket of sockets) socket.destroy();
});

test("the audit log names the process that called", async () => {
  const handle = { executable: () => ({ path: "/usr/bin/spire-server" }), close() {}, [Symbol.dispose]() {} };
  const credentials = { peerCredentials: () => ({ pid: 7, uid: 8, gid: 9, groups: [], handle: handle as never }) };
  const server = await startServer({ deps: { credentials }, options: { auditLog: true } });
  await call(server.admin, AgentService.countAgents, { filter: undefined });
  expect(server.lines.find(({ message }) => message === "API accessed")?.fields).toMatchObject({
    type: "audit",
    status: "success",
    service: "agent.v1.Agent",
    method: "CountAgents",
    authorized_as: "local",
    authorized_via: "transport",
    caller_uid: 8,
    caller_gid: 9,
    caller_path: "/usr/bin/spire-server",
  });
});

test("a caller that has gone before it could be named is served all the same", async () => {
  const credentials = {
    peerCredentials: () => {
      throw new Error("ESRCH");
    },
  };
  const server = await startServer({ deps: { credentials } });
  await call(server.admin, AgentService.countAgents, { filter: undefined });
});
