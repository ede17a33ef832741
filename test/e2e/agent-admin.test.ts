/** The agent's administration socket: SPIRE's own commands on it, and a delegate that asks for another's identity. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GetStatusResponse, StatusClient } from "../../src/gen/holdfast/agent/v1/status.ts";
import {
  DelegatedIdentityClient,
  type FetchJWTSVIDsRequest,
  type FetchJWTSVIDsResponse,
} from "../../src/gen/spire/api/agent/delegatedidentity/v1/delegatedidentity.ts";
import { ask } from "../agent-admin/harness.ts";
import { Reader } from "../workload-api/harness.ts";
import { Folder, type Outcome, Pair, PROGRAMS, run, SELF } from "./support.ts";

const DELEGATE = "spiffe://example.org/delegate";

function onPath(program: string): string | undefined {
  try {
    return execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

const spireAgent = onPath("spire-agent");
let folder: Folder;
let pair: Pair;
let socket: string;

beforeAll(async () => {
  folder = new Folder();
  socket = join(folder.path, "admin", "admin.sock");
  pair = await Pair.start({
    agent: `  admin_socket_path = "${socket}"\n  authorized_delegates = ["${DELEGATE}"]`,
  });
}, 60_000);

afterAll(async () => {
  await pair?.[Symbol.asyncDispose]();
  folder?.[Symbol.dispose]();
});

describe("spire-agent's commands on our socket", () => {
  const say = (program: string, ...args: readonly string[]): Promise<Outcome> =>
    run(program, [...args, "-socketPath", socket]);

  test("logger get, set and reset", async ({ skip }) => {
    if (spireAgent === undefined) return skip("spire-agent is not on PATH");
    const get = await say(spireAgent, "logger", "get");
    expect(get).toMatchObject({ status: 0, stdout: expect.stringMatching(/Logger Level : info/i) });
    const lines = (): number => pair.agent.log().split("level=debug").length;
    const before = lines();
    expect((await say(spireAgent, "logger", "set", "-level", "debug")).stdout).toMatch(/Logger Level : debug/i);
    // A change that is synchronised is told at this level only.
    await pair.withEntry("spiffe://example.org/x", [`unix:uid:${SELF}`], [], async () => {});
    expect(lines()).toBeGreaterThan(before);
    expect((await say(spireAgent, "logger", "reset")).stdout).toMatch(/Logger Level : info/i);
    expect((await say(spireAgent, "logger", "get")).stdout).toMatch(/Logger Level : info/i);
  }, 60_000);

  test("debug getinfo", async ({ skip }) => {
    if (spireAgent === undefined) return skip("spire-agent is not on PATH");
    const { status, stdout, stderr } = await say(spireAgent, "debug", "getinfo", "-output", "json");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({
      svid_chain: [
        { id: { trust_domain: "example.org", path: pair.agentId.slice("spiffe://example.org".length) } },
        { id: { trust_domain: "example.org" } },
      ],
    });
  }, 60_000);
});

test("a delegate follows another workload's identity, until it is a delegate no more", async () => {
  const client = new DelegatedIdentityClient(`unix://${socket}`, credentials.createInsecure());
  const subscribe = (): ReturnType<typeof client.subscribeToX509SviDs> =>
    client.subscribeToX509SviDs({ selectors: [{ type: "unix", value: "uid:54321" }], pid: 0 });
  try {
    expect(await new Reader(subscribe()).end()).toBe("7 no identity issued");
    await pair.withEntry(DELEGATE, [`unix:uid:${SELF}`], [], async (delegateEntry) => {
      const reader = new Reader(subscribe());
      expect((await reader.next()).x509Svids).toEqual([]);
      const web = await pair.createEntry("spiffe://example.org/web", ["unix:uid:54321"]);
      const { x509Svids } = await reader.next();
      expect(x509Svids.map(({ x509Svid }) => x509Svid?.id?.path)).toEqual(["/web"]);
      expect(x509Svids[0]?.x509SvidKey.length).toBeGreaterThan(100);
      const mine = new Reader(client.subscribeToX509SviDs({ selectors: [], pid: process.pid }));
      expect((await mine.next()).x509Svids.map(({ x509Svid }) => x509Svid?.id?.path)).toEqual(["/delegate"]);
      mine.cancel();
      const bundles = new Reader(client.subscribeToX509Bundles({}));
      expect(Object.keys((await bundles.next()).caCertificates)).toEqual(["spiffe://example.org"]);
      bundles.cancel();
      await pair.deleteEntry(delegateEntry);
      await pair.untilDenied();
      await pair.deleteEntry(web);
      expect(await reader.end()).toBe("7 no identity issued");
    });
  } finally {
    client.close();
  }
}, 60_000);

test("GetStatus follows what the agent has", async () => {
  const client = new StatusClient(`unix://${socket}`, credentials.createInsecure());
  const status = (): Promise<GetStatusResponse | string> =>
    ask<{ maxIdentities: number }, GetStatusResponse>((request, callback) => client.getStatus(request, callback), {
      maxIdentities: 0,
    });
  try {
    await pair.withEntry("spiffe://example.org/x", [`unix:uid:${SELF}`], [], async (entryId) => {
      expect(await status()).toMatchObject({
        trustDomain: "example.org",
        agentSvid: { id: { path: pair.agentId.slice("spiffe://example.org".length) } },
        serving: true,
        problems: [],
        identities: [{ entryId, id: { path: "/x" }, failed: false }],
        identitiesCount: 1n,
        x509SvidsCount: 1n,
      });
    });
    expect(await status()).toMatchObject({ identities: [], identitiesCount: 0n });
  } finally {
    client.close();
  }
}, 60_000);

test("a delegate has tokens of a stock spire-server for another workload", async ({ skip }) => {
  const spireServer = onPath("spire-server");
  if (spireServer === undefined) return skip("spire-server is not on PATH");
  using place = new Folder();
  const path = join(place.path, "admin", "admin.sock");
  await using stock = await Pair.start(
    { agent: `  admin_socket_path = "${path}"\n  authorized_delegates = ["${DELEGATE}"]` },
    { server: spireServer, agent: PROGRAMS.agent },
  );
  await stock.createEntry("spiffe://example.org/web", ["unix:uid:54321"]);
  await stock.createEntry(DELEGATE, [`unix:uid:${SELF}`]);
  await stock.untilServed(DELEGATE);
  const client = new DelegatedIdentityClient(`unix://${path}`, credentials.createInsecure());
  try {
    const answer = await ask<FetchJWTSVIDsRequest, FetchJWTSVIDsResponse>(
      (request, callback) => client.fetchJwtsviDs(request, callback),
      { audience: ["a", "b"], selectors: [{ type: "unix", value: "uid:54321" }], pid: 0 },
    );
    if (typeof answer === "string") throw new Error(answer);
    expect(answer.svids.map(({ id }) => id?.path)).toEqual(["/web"]);
    expect(decodeJwt(answer.svids[0]?.token ?? "")).toMatchObject({ sub: "spiffe://example.org/web", aud: ["a", "b"] });
    const { bundles } = await new Reader(client.subscribeToJwtBundles({})).next();
    expect(JSON.parse(Buffer.from(bundles["spiffe://example.org"] ?? []).toString()).keys.length).toBeGreaterThan(0);
  } finally {
    client.close();
  }
}, 120_000);
