/** Real Envoy through our socket: mutual TLS between two workloads, kept through rotations, and a federated trust domain. */
import { createServer, type Server } from "node:http";
import { request } from "node:https";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../../scripts/lib/programs.ts";
import { pemEncode } from "../../../src/lib/pem-encode.ts";
import { parseSpiffeId, parseTrustDomain } from "../../../src/spiffe/id.ts";
import type { X509Svid } from "../../../src/spiffe/svid.ts";
import { TestCa } from "../../fakes/test-ca.ts";
import { admin, Pair } from "../support.ts";
import { copyOf, Envoy, type Found, findEnvoy, get, inbound, outbound, setFederatedBundle } from "./support.ts";

const CLIENT = "spiffe://example.org/client";
const SERVER = "spiffe://example.org/server";
const PARTNER = parseTrustDomain("partner.test");
const ROTATIONS = 50;
/** Seconds; an SVID is renewed when half of it has passed. */
const SVID_TTL = 4;

let pair: Pair;
let found: Found;
/** Says who called, as the Envoy before it does. */
let backend: Server;
/** Hashes of the certificates with which callers came. */
const certificates = new Set<string>();

beforeAll(async () => {
  pair = await Pair.start();
  found = await findEnvoy(pair.site.folder);
  backend = createServer((incoming, response) => {
    const [, hash = "", id] =
      /Hash=([0-9a-f]{64});URI=([^;,]+)$/.exec(String(incoming.headers["x-forwarded-client-cert"])) ?? [];
    certificates.add(hash);
    response.end(id);
  });
  await new Promise<void>((listening) => backend.listen(0, "127.0.0.1", listening));
}, 300_000);

afterAll(async () => {
  backend?.close();
  await pair?.[Symbol.asyncDispose]();
});

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Registers a workload by the path of its Envoy. */
async function register(spiffeId: string, program: string, more: readonly string[] = []): Promise<string> {
  return pair.createEntry(spiffeId, [`unix:path:${program}`], more);
}

test("two workloads talk by mutual TLS, and lose no request through fifty rotations of both", async ({ skip }) => {
  if ("missing" in found) return skip(found.missing);
  const { folder } = pair.site;
  const client = copyOf(found.path, join(folder, "envoy-client"));
  const server = copyOf(found.path, join(folder, "envoy-server"));
  const ttl = ["-x509SVIDTTL", String(SVID_TTL)];
  const entries = [await register(CLIENT, client, ttl), await register(SERVER, server, ttl)];
  const [entrance, between] = [await freePort(), await freePort()];
  await using inner = await Envoy.start(
    "server",
    server,
    pair.site,
    inbound({ svid: SERVER, bundle: "ALL", peers: [CLIENT], discovery: "GRPC" }, between, portOf(backend)),
  );
  await using outer = await Envoy.start(
    "client",
    client,
    pair.site,
    outbound({ svid: "default", bundle: "ROOTCA", peers: [SERVER], discovery: "DELTA_GRPC" }, between, entrance),
  );
  const rotations = (): Promise<number[]> =>
    Promise.all([inner.count(/^sds\.spiffe_.*\.update_success:/), outer.count(/^sds\.default\.update_success:/)]);
  const answers = new Map<string, number>();
  let requests = 0;
  certificates.clear();
  // Each request makes a handshake, with whatever certificates there are at that moment.
  while (Math.min(...(await rotations())) <= ROTATIONS) {
    for (let i = 0; i < 20; i++) {
      const { status, body } = await get(entrance);
      const answer = `${status} ${body}`;
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
      requests++;
    }
  }
  expect([...answers]).toEqual([[`200 ${CLIENT}`, requests]]);
  expect(certificates.size).toBeGreaterThan(ROTATIONS);
  expect(await inner.count(/^listener\..*ssl\.handshake:/)).toBeGreaterThanOrEqual(requests);
  for (const envoy of [inner, outer]) expect(await envoy.count(/^sds\..*update_rejected:/)).toBe(0);
  for (const entry of entries) await pair.deleteEntry(entry);
}, 600_000);

/** A request by mutual TLS; what was answered, or `refused`. */
function ask(port: number, svid: X509Svid, authorities: string): Promise<string> {
  return new Promise((resolve) => {
    const sent = request(
      {
        host: "127.0.0.1",
        port,
        agent: false,
        ca: authorities,
        cert: svid.chain.map((der) => pemEncode("CERTIFICATE", der)).join(""),
        key: svid.privateKey.export({ type: "pkcs8", format: "pem" }),
        checkServerIdentity: (_host, { subjectaltname }) =>
          subjectaltname === `URI:${SERVER}` ? undefined : new Error(`it is ${subjectaltname}`),
      },
      (response) => {
        let body = "";
        response.on("data", (chunk: Buffer) => {
          body += chunk.toString();
        });
        response.on("end", () => resolve(`${response.statusCode} ${body}`));
        response.on("error", () => resolve("refused"));
      },
    );
    sent.on("error", ({ message }) => resolve(/alert|ECONNRESET|hang up/.test(message) ? "refused" : message));
    sent.end();
  });
}

test("a federated bundle is honoured while there is one, for members of its trust domain only (FED-06, API-12)", async ({
  skip,
}) => {
  if ("missing" in found) return skip(found.missing);
  const server = copyOf(found.path, join(pair.site.folder, "envoy-federated"));
  const partner = await TestCa.create(PARTNER);
  const member = await partner.svid(parseSpiffeId("spiffe://partner.test/member"));
  // The partner's CA vouches for a member of our trust domain: Envoy must not believe it.
  const impostor = await partner.svid(parseSpiffeId(CLIENT));
  const entryId = await register(SERVER, server);
  const port = await freePort();
  await using envoy = await Envoy.start(
    "federated",
    server,
    pair.site,
    inbound(
      { svid: SERVER, bundle: "ALL", peers: [CLIENT, "spiffe://partner.test/"], discovery: "GRPC" },
      port,
      portOf(backend),
    ),
  );
  const authorities = await admin(pair.site, ["bundle", "show"]);
  const says = (svid: X509Svid): Promise<string> => ask(port, svid, authorities);
  const update = (...more: string[]): Promise<string> =>
    admin(pair.site, [
      "entry",
      "update",
      "-entryID",
      entryId,
      "-parentID",
      pair.agentId,
      "-spiffeID",
      SERVER,
      "-selector",
      `unix:path:${server}`,
      ...more,
    ]);
  expect(await says(member)).toBe("refused");

  await setFederatedBundle(pair.site, PARTNER, partner.certificate);
  await update("-federatesWith", PARTNER);
  await envoy.daemon.until("trust", async () => (await says(member)) === "200 spiffe://partner.test/member");
  expect(await says(impostor)).toBe("refused");

  // The partner's CA changes.
  const next = await TestCa.create(PARTNER);
  const newMember = await next.svid(parseSpiffeId("spiffe://partner.test/new"));
  expect(await says(newMember)).toBe("refused");
  await setFederatedBundle(pair.site, PARTNER, next.certificate);
  await envoy.daemon.until("new authority", async () => (await says(newMember)) === "200 spiffe://partner.test/new");
  expect(await says(member)).toBe("refused");

  await update();
  await envoy.daemon.until("end of trust", async () => (await says(newMember)) === "refused");
  expect(await envoy.count(/^sds\..*update_rejected:/)).toBe(0);
  await pair.deleteEntry(entryId);
}, 120_000);

test("an Envoy that asks before it has an entry is served the moment there is one (DeltaSecrets)", async ({ skip }) => {
  if ("missing" in found) return skip(found.missing);
  const early = copyOf(found.path, join(pair.site.folder, "envoy-early"));
  const tls = { svid: CLIENT, bundle: "ROOTCA", peers: [SERVER], discovery: "DELTA_GRPC" } as const;
  await using envoy = await Envoy.start("early", early, pair.site, outbound(tls, await freePort(), await freePort()));
  const contexts = (): Promise<number> => envoy.count(/client_ssl_socket_factory\.ssl_context_update_by_sds:/);
  const before = await contexts();
  const entryId = await register(CLIENT, early);
  await envoy.daemon.until("SVID", async () => (await contexts()) > before);
  expect(await envoy.count(/^sds\..*update_rejected:/)).toBe(0);
  await pair.deleteEntry(entryId);
}, 60_000);
