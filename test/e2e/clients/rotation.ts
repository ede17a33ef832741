/** What every client has to see: its identities, and what signs them rotated from under them. */
import { expect } from "vitest";
import { authorities } from "../authorities.ts";
import { Pair, PROGRAMS, type Programs, SELF } from "../support.ts";
import { Client } from "./support.ts";

const ID = "spiffe://example.org/web";

/** Runs the client against programs of its own through a rotation of the JWT key and one of the CA. */
export async function throughRotation(command: readonly string[], programs: Programs = PROGRAMS): Promise<void> {
  await using pair = await Pair.start({}, programs);
  await pair.createEntry(ID, [`unix:uid:${SELF}`]);
  await pair.untilServed(ID);
  using client = new Client(command, pair.site.agentSocket);
  const first = await client.until("identities", ({ x509, jwt }) => x509 !== undefined && jwt !== undefined);
  expect(first).toMatchObject({ x509: { id: ID, roots: 1 }, jwt: { id: ID, keys: 1 } });

  const jwt = authorities(pair.site, "jwt", programs.server);
  const oldKey = await jwt.shown("active");
  await jwt.say("prepare");
  await client.until("new JWT key", (seen) => seen.jwt?.keys === 2);
  await jwt.say("activate", "-authorityID", await jwt.shown("prepared"));
  await jwt.say("taint", "-authorityID", oldKey);
  await jwt.say("revoke", "-authorityID", oldKey);
  // A token that is valid by the one key that is left is a new one.
  const second = await client.until("end of the old JWT key", (seen) => seen.jwt?.keys === 1);
  expect(second).toMatchObject({ x509: first.x509, jwt: { id: ID } });

  const x509 = authorities(pair.site, "x509", programs.server);
  const oldCa = await x509.shown("active");
  await x509.say("prepare");
  await client.until("new root", (seen) => seen.x509?.roots === 2);
  await x509.say("activate", "-authorityID", await x509.shown("prepared"));
  await x509.say("taint", "-authorityID", oldCa);
  const third = await client.until("new certificate", (seen) => seen.x509?.serial !== first.x509?.serial);
  expect(third).toMatchObject({ x509: { id: ID, roots: 2 }, jwt: { id: ID, keys: 1 } });
}
