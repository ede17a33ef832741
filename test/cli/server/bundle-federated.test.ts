import { generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseTrustDomain } from "../../../src/spiffe/id.ts";
import { entry, id } from "../../fakes/entries.ts";
import { tempFolder } from "../../fakes/temp-datastore.ts";
import { startServer } from "../../server/harness.ts";
import { command } from "./harness.ts";

const OTHER = parseTrustDomain("other.org");
const LINE = "*".repeat(40);

/** A server, and the bundle of another as PEM and as SPIFFE document. */
async function start() {
  const [server, other] = [await startServer(), await startServer()];
  const shown = async (format: string): Promise<string> =>
    (await command(other, ["bundle", "show", "-format", format])).stdout;
  const [pem, spiffe] = [await shown("pem"), await shown("spiffe")];
  const say = (words: string, input?: string) => command(server, ["bundle", ...words.split(" ")], input);
  return { server, pem, spiffe, say };
}

test("a bundle is set from standard input or a file, in either format, and listed (FED-05)", async () => {
  const { say, pem, spiffe } = await start();
  expect(await say("list")).toEqual({ status: 0, stdout: "", stderr: "" });
  expect(await say("count")).toEqual({ status: 0, stdout: "1 bundle\n", stderr: "" });
  expect(await say("set -id spiffe://other.org", pem)).toEqual({ status: 0, stdout: "bundle set.\n", stderr: "" });
  const file = join(await tempFolder(), "bundle.json");
  await writeFile(file, spiffe);
  expect(await say(`set -id third.org -format SPIFFE -path ${file}`)).toMatchObject({ stdout: "bundle set.\n" });
  expect(await say("count")).toMatchObject({ stdout: "3 bundles\n" });
  expect(JSON.parse((await say("count -output json")).stdout)).toEqual({ count: 3 });
  expect(await say("list -id spiffe://other.org")).toEqual({ status: 0, stdout: pem, stderr: "" });
  const both = `${LINE}\n* other.org\n${LINE}\n${pem}\n${LINE}\n* third.org\n${LINE}\n${pem}`;
  expect(await say("list")).toEqual({ status: 0, stdout: both, stderr: "" });
  const keys = (text: string): object[] => (JSON.parse(text) as { keys: object[] }).keys;
  expect(keys((await say("list -id third.org -format spiffe")).stdout)).toEqual(keys(spiffe));
  const json = JSON.parse((await say("list -output json")).stdout) as { bundles: { trust_domain: string }[] };
  expect(json).toMatchObject({ bundles: [{ trust_domain: "other.org" }, { trust_domain: "third.org" }] });
  expect(json).toHaveProperty("next_page_token", "");
});

test("keys for WIT-SVIDs are kept beside those for JWT-SVIDs (WIT-22)", async () => {
  const { say } = await start();
  const keys = ["jwt-svid", "wit-svid"].map((use) => {
    const { kty, ...members } = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" });
    return { use, kty, kid: use, ...members };
  });
  expect(await say("set -id other.org -format spiffe", JSON.stringify({ keys }))).toMatchObject({ status: 0 });
  const listed = JSON.parse((await say("list -id other.org -format spiffe")).stdout) as { keys: object[] };
  expect(listed.keys).toEqual(keys);
});

test("more bundles than fit in a page are all listed", async () => {
  const { server, say } = await start();
  for (let i = 0; i < 205; i++) {
    const trustDomain = parseTrustDomain(`d${i}.org`);
    const none = { x509Authorities: [], jwtAuthorities: [], witAuthorities: [] };
    await server.store.bundles.set({ trustDomain, ...none, refreshHint: 0, sequence: 0n });
  }
  const { stdout } = await say("list");
  expect(stdout.split("\n").filter((line) => line.startsWith("* "))).toHaveLength(205);
});

test("what cannot be set changes nothing and says why", async () => {
  const { say, pem } = await start();
  const refused = async (words: string, input: string, why: string): Promise<void> => {
    const { status, stdout, stderr } = await say(words, input);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toContain(why);
  };
  await refused("set", pem, "-id is required");
  await refused("set -id Not/One", pem, "-id: invalid trust domain");
  await refused("set -id other.org -format der", pem, '-format is "pem" or "spiffe", not "der"');
  await refused("set -id other.org", "", "bundle: no certificate in it");
  await refused("set -id other.org -format spiffe", pem, "SPIFFE bundle: not JSON");
  await refused("set -id other.org -path /nowhere/bundle", "", "-path: cannot read /nowhere/bundle");
  const own = "setting a federated bundle for the server's own trust domain is not allowed";
  await refused("set -id example.org", pem, `failed to set federated bundle: ${own}`);
  await refused("list -id unknown.org", "", "bundle not found");
  // A failed item of a batch fails the command in JSON, too.
  expect(await say("set -id example.org -output json", pem)).toMatchObject({
    status: 1,
    stdout: expect.stringContaining(own) as string,
  });
  expect(await say("count")).toMatchObject({ stdout: "1 bundle\n" });
});

test("a bundle goes as -mode says, with what its entries become", async () => {
  const { server, say, pem } = await start();
  const federating = entry("e", { spiffeId: id("/e"), federatesWith: [OTHER] });
  await say("set -id other.org", pem);
  await server.store.entries.create(federating);
  for (const words of ["delete -id other.org", "delete -id other.org -mode restrict"]) {
    expect(await say(words)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('failed to delete federated bundle "other.org": ') as string,
    });
  }
  expect((await say("delete -id other.org -mode all")).stderr).toContain('not "all"');
  expect((await say("delete")).stderr).toContain("-id is required");
  expect(await say("list")).not.toMatchObject({ stdout: "" });
  const deleted = { status: 0, stdout: "bundle deleted.\n", stderr: "" };
  expect(await say("delete -id spiffe://other.org -mode dissociate")).toEqual(deleted);
  expect(await server.store.entries.get("e")).toMatchObject({ federatesWith: [] });
  await say("set -id other.org", pem);
  await server.store.entries.update(federating);
  expect(await say("delete -id other.org -mode delete")).toEqual(deleted);
  expect(await server.store.entries.get("e")).toBeUndefined();
  expect((await say("delete -id other.org")).stderr).toContain("bundle not found");
});
