/** IDs at the edges of what the standard allows, from the entry to the token that is validated (SPIFFE-ID 2.1, 2.3). */
import { X509Certificate } from "node:crypto";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { admin, fetchX509, idsOf, Pair, PROGRAMS, run, SELF } from "./support.ts";

/** Looks like an address, and is a name like any other. */
const TRUST_DOMAIN = "192.0.2.1";
const PREFIX = `spiffe://${TRUST_DOMAIN}/ns/`;
const LONGEST = PREFIX + "a".repeat(2048 - PREFIX.length);

let pair: Pair;
beforeAll(async () => {
  pair = await Pair.start({ trustDomain: TRUST_DOMAIN });
  await pair.createEntry(LONGEST, [`unix:uid:${SELF}`]);
  await pair.untilServed(LONGEST);
});
afterAll(async () => {
  await pair?.[Symbol.asyncDispose]();
});

test("an ID of 2048 bytes below a trust domain like an address is registered, served and validated (ID-08, ID-14)", async () => {
  expect(await admin(pair.site, ["entry", "show", "-spiffeID", LONGEST])).toContain(LONGEST);
  const fetched = await fetchX509(pair.site);
  expect(idsOf(fetched)).toEqual([LONGEST]);
  const { svids } = JSON.parse(fetched.stdout) as { svids: { x509_svid: string }[] };
  const leaf = new X509Certificate(Buffer.from(svids[0]?.x509_svid ?? "", "base64"));
  expect(leaf.subjectAltName).toBe(`URI:${LONGEST}`);

  const api = (...args: string[]) => run(PROGRAMS.agent, ["api", ...args, "-socketPath", pair.site.agentSocket]);
  const jwt = await api("fetch", "jwt", "-audience", LONGEST, "-spiffeID", LONGEST, "-output", "json");
  const [{ svids: tokens }] = JSON.parse(jwt.stdout) as [{ svids: { svid: string }[] }];
  const token = tokens[0]?.svid ?? "";
  expect(decodeJwt(token)).toMatchObject({ sub: LONGEST, aud: [LONGEST] });
  const validated = await api("validate", "jwt", "-audience", LONGEST, "-svid", token);
  expect(validated.stdout).toContain(`SPIFFE ID : ${LONGEST}\n`);
});

test("an ID of 2049 bytes is not made (ID-15)", async () => {
  const args = ["entry", "create", "-parentID", pair.agentId, "-spiffeID", `${LONGEST}a`, "-selector", "unix:uid:1"];
  const refused = await run(PROGRAMS.server, [...args, "-socketPath", pair.site.serverSocket]);
  expect(refused.status).toBe(1);
  expect(refused.stderr).toContain("SPIFFE ID is longer than 2048 bytes");
});
