/** WIT-SVIDs from our server through our agent to a workload, verified by `jose`; and what a stock server leaves of it. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { credentials, status as Status } from "@grpc/grpc-js";
import { compactVerify, decodeProtectedHeader, importJWK, type JWK, jwtVerify, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  SpiffeWorkloadAPIClient,
  type WITBundlesResponse,
  type WITSVIDResponse,
} from "../../src/gen/workload/workload.ts";
import { header, Reader } from "../workload-api/harness.ts";
import { admin, Pair, PROGRAMS, run, SELF, startServer } from "./support.ts";

const ID = "spiffe://example.org/web";
const OWN = "spiffe://example.org";
const ENABLED = '  experimental { feature_flags = ["wit-svid"] }';

function onPath(program: string): string | undefined {
  try {
    return execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

const spireServer = onPath("spire-server");

/** Streams on the agent's socket. */
class Workload implements Disposable {
  readonly #client: SpiffeWorkloadAPIClient;

  constructor(pair: Pair) {
    this.#client = new SpiffeWorkloadAPIClient(`unix://${pair.site.agentSocket}`, credentials.createInsecure());
  }

  svids(spiffeId = ""): Reader<WITSVIDResponse> {
    return new Reader(this.#client.fetchWitsvid({ spiffeId }, header()));
  }

  bundles(): Reader<WITBundlesResponse> {
    return new Reader(this.#client.fetchWitBundles({}, header()));
  }

  /** The bundles of this moment. */
  async bundlesNow(): Promise<Record<string, JWK[]>> {
    const stream = this.bundles();
    const { bundles } = await stream.next();
    stream.cancel();
    return Object.fromEntries(
      Object.entries(bundles).map(([id, text]) => [id, (JSON.parse(text) as { keys: JWK[] }).keys]),
    );
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

type Wit = WITSVIDResponse["svids"][number];

/** What a peer does that is shown the token: verifies it by the bundle, and has the holder prove its key (WIT-19). */
async function verify({ spiffeId, witSvid, witSvidKey }: Wit, keys: readonly JWK[]): Promise<void> {
  const { kid, ...head } = decodeProtectedHeader(witSvid);
  expect(head).toEqual({ alg: "ES256", typ: "wit+jwt" });
  const authority = keys.find((key) => key.kid === kid);
  expect(authority).toMatchObject({ use: "wit-svid" });
  const publicKey = await importJWK({ ...authority, alg: "ES256" });
  const { payload } = await jwtVerify(witSvid, publicKey, { typ: "wit+jwt", requiredClaims: ["exp", "iat", "cnf"] });
  expect(payload).toMatchObject({ sub: spiffeId });
  expect(payload.aud).toBeUndefined();
  const { jwk } = payload.cnf as { jwk: JWK };
  expect(jwk.alg).toBe("ES256");
  expect(jwk.d).toBeUndefined();
  const proof = await new SignJWT({ nonce: "n" })
    .setProtectedHeader({ alg: "ES256" })
    .sign(await importJWK(JSON.parse(witSvidKey) as JWK));
  await compactVerify(proof, await importJWK(jwk));
}

const only = ({ svids }: WITSVIDResponse): Wit => {
  expect(svids).toHaveLength(1);
  return svids[0] as Wit;
};
const signerOf = (svid: Wit): unknown => decodeProtectedHeader(svid.witSvid).kid;

let pair: Pair;
let entryId = "";
beforeAll(async () => {
  pair = await Pair.start({ server: ENABLED }, PROGRAMS);
  entryId = await pair.createEntry(ID, [`unix:uid:${SELF}`], ["-hint", "internal"]);
  await pair.untilServed(ID);
}, 120_000);
afterAll(async () => {
  await pair[Symbol.asyncDispose]();
});

/** `localauthority wit`; the ID of the authority that it is about. */
async function authority(verb: string, ...args: string[]): Promise<string> {
  const printed = await admin(pair.site, ["localauthority", "wit", verb, ...args, "-output", "json"]);
  const [state] = Object.values(JSON.parse(printed) as Record<string, { authority_id: string }>);
  return state?.authority_id ?? "";
}

test("a workload fetches its WIT-SVID and key, and a peer verifies both", async () => {
  using workload = new Workload(pair);
  const stream = workload.svids();
  const svid = only(await stream.next());
  expect(svid).toMatchObject({ spiffeId: ID, hint: "internal" });
  await verify(svid, (await workload.bundlesNow())[OWN] ?? []);
  // Another caller on the node shares it (WIT-10).
  expect(only(await workload.svids(ID).next())).toEqual(svid);
  expect(await workload.svids("spiffe://example.org/other").end()).toBe(
    `${Status.PERMISSION_DENIED} no identity issued`,
  );
  const socket = ["-socketPath", pair.site.agentSocket];
  const fetched = await run(PROGRAMS.agent, ["api", "fetch", "wit", ...socket]);
  expect(fetched).toEqual({
    status: 0,
    stdout: `token(${ID}):\n\t${svid.witSvid}\nhint(${ID}):\n\tinternal\n`,
    stderr: "",
  });
  const json = await run(PROGRAMS.agent, ["api", "fetch", "wit", ...socket, "-output", "json"]);
  const { svids } = JSON.parse(json.stdout) as { svids: { wit_svid_key: string }[] };
  expect(JSON.parse(svids[0]?.wit_svid_key ?? "")).toEqual(JSON.parse(svid.witSvidKey));
  const log = readFileSync(pair.agent.logFile, "utf8");
  expect(log).not.toContain(svid.witSvid.slice(0, 20));
}, 60_000);

test("a rotated, tainted and revoked authority reaches open streams, bundles first", async () => {
  using workload = new Workload(pair);
  const [svids, bundles] = [workload.svids(), workload.bundles()];
  const first = only(await svids.next());
  const kids = async (): Promise<string[]> => {
    const { bundles: all } = await bundles.next();
    return (JSON.parse(all[OWN] ?? "") as { keys: JWK[] }).keys.map(({ kid }) => kid ?? "");
  };
  const old = String(signerOf(first));
  expect(await kids()).toEqual([old]);
  const next = await authority("prepare");
  expect(await kids()).toEqual([old, next]);
  await authority("activate", "-authorityID", next);
  await authority("taint", "-authorityID", old);
  const second = only(await svids.next());
  expect(signerOf(second)).toBe(next);
  expect(second.witSvid).not.toBe(first.witSvid);
  await verify(second, (await workload.bundlesNow())[OWN] ?? []);
  await authority("revoke", "-authorityID", old);
  expect(await kids()).toEqual([next]);
  expect(svids.waiting).toBe(0);
}, 60_000);

test("entries come and go on an open stream; with the last one it ends", async () => {
  using workload = new Workload(pair);
  const stream = workload.svids();
  await stream.next();
  const added = await pair.createEntry(`${ID}/2`, [`unix:uid:${SELF}`]);
  const { svids } = await stream.next();
  expect(svids.map(({ spiffeId }) => spiffeId).sort()).toEqual([ID, `${ID}/2`]);
  // As for X.509: sorted by entry ID, the default first (API-33).
  expect(svids[0]?.spiffeId).toBe(entryId < added ? ID : `${ID}/2`);
  await pair.deleteEntry(added);
  expect(only(await stream.next()).spiffeId).toBe(ID);
  await pair.deleteEntry(entryId);
  expect(await stream.end()).toBe(`${Status.PERMISSION_DENIED} no identity issued`);
  expect(await workload.bundles().end()).toBe(`${Status.PERMISSION_DENIED} no identity issued`);
  entryId = await pair.createEntry(ID, [`unix:uid:${SELF}`], ["-hint", "internal"]);
  await pair.untilServed(ID);
}, 60_000);

test("bundles of other trust domains come with the entries that federate with them", async () => {
  using workload = new Workload(pair);
  const foreign = { kty: "EC", crv: "P-256", kid: "f-1", use: "wit-svid" };
  const key = (await workload.bundlesNow())[OWN]?.[0];
  const file = join(pair.site.folder, "foreign.json");
  writeFileSync(file, JSON.stringify({ keys: [{ ...key, ...foreign }] }));
  await admin(pair.site, ["bundle", "set", "-id", "b.test", "-format", "spiffe", "-path", file]);
  const stream = workload.bundles();
  expect(Object.keys((await stream.next()).bundles)).toEqual([OWN]);
  const added = await pair.createEntry(`${ID}/3`, [`unix:uid:${SELF}`], ["-federatesWith", "b.test"]);
  const { bundles } = await stream.next();
  expect(JSON.parse(bundles["spiffe://b.test"] ?? "")).toEqual({ keys: [{ ...key, ...foreign }] });
  await pair.deleteEntry(added);
  expect(Object.keys((await stream.next()).bundles)).toEqual([OWN]);
}, 60_000);

test("a server that is away delays nobody who has a valid one; when it is back, streams go on", async () => {
  using workload = new Workload(pair);
  const stream = workload.svids();
  const svid = only(await stream.next());
  await pair.server.stop("SIGKILL");
  expect(only(await workload.svids().next())).toEqual(svid);
  pair.server = await startServer(pair.site, PROGRAMS.server);
  const next = await authority("prepare");
  await authority("activate", "-authorityID", next);
  await authority("taint", "-authorityID", String(signerOf(svid)));
  let seen = only(await stream.next());
  while (signerOf(seen) !== next) seen = only(await stream.next());
  await verify(seen, (await workload.bundlesNow())[OWN] ?? []);
}, 120_000);

describe("UNIMPLEMENTED (API-02)", () => {
  const cases = [
    ["a stock spire-server", spireServer],
    ["holdfast-server, where it is not switched on", PROGRAMS.server],
  ] as const;
  test.for(cases)("with %s", { timeout: 120_000 }, async ([_name, server], { skip }) => {
    if (server === undefined) return skip("spire-server is not on PATH");
    await using other = await Pair.start({}, { server, agent: PROGRAMS.agent });
    using workload = new Workload(other);
    const refused = `${Status.UNIMPLEMENTED} the server issues no WIT-SVIDs`;
    // Also to a caller without an identity.
    expect(await workload.svids().end()).toBe(refused);
    await other.createEntry(ID, [`unix:uid:${SELF}`]);
    await other.untilServed(ID);
    expect(await workload.svids().end()).toBe(refused);
    expect(await workload.bundles().end()).toBe(refused);
    const command = ["api", "fetch", "wit", "-socketPath", other.site.agentSocket];
    const { status, stderr } = await run(PROGRAMS.agent, command);
    expect([status, stderr]).toEqual([1, expect.stringContaining("Unimplemented")]);
  });
});
