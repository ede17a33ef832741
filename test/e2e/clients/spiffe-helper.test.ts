/** `spiffe-helper`, from `SPIFFE_HELPER` or `PATH`, keeps files fresh and signals the command that reads them. */
import { execFileSync } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeProtectedHeader } from "jose";
import { expect, test } from "vitest";
import { authorities } from "../authorities.ts";
import { Daemon, Pair, PROGRAMS, run, SELF } from "../support.ts";
import { codeOf } from "./docs.ts";

const ID = "spiffe://example.org/web";

function helper(): string | undefined {
  if (process.env.SPIFFE_HELPER !== undefined) return process.env.SPIFFE_HELPER;
  try {
    return execFileSync("sh", ["-c", "command -v spiffe-helper"], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

test("renews certificate, key, bundles and token, and signals the command", { timeout: 120_000 }, async ({ skip }) => {
  const program = helper();
  if (program === undefined) return skip("SPIFFE_HELPER is not set and spiffe-helper is not on PATH");
  await using pair = await Pair.start();
  await pair.createEntry(ID, [`unix:uid:${SELF}`], ["-jwtSVIDTTL", "10"]);
  await pair.untilServed(ID);
  const folder = join(pair.site.folder, "helper");
  mkdirSync(folder);
  const service = join(folder, "service.sh");
  writeFileSync(service, "trap 'echo told to reload' USR1\necho started\nwhile :; do sleep 1 & wait; done\n");
  const config = join(folder, "helper.conf");
  // The page's own example, at this test's places.
  const example = codeOf("helper.conf")
    .replace("/tmp/spire-agent/public/api.sock", pair.site.agentSocket)
    .replace("/usr/local/bin/web", "/bin/sh")
    .replace("--certificates /run/web", service)
    .replace("/run/web", folder);
  writeFileSync(config, example);
  await using daemon = new Daemon("spiffe-helper", program, ["-config", config], join(folder, "log"));
  const text = (name: string): string => readFileSync(join(folder, name), "utf8");
  const names = ["svid.pem", "svid_key.pem", "bundle.pem", "jwt.token", "jwt_bundle.json"];
  const written = (): boolean => names.every((name) => existsSync(join(folder, name)) && text(name) !== "");
  await daemon.until("files", () => written() && daemon.log().includes("started\n"));

  const check = async (): Promise<string> => {
    const leaf = new X509Certificate(text("svid.pem"));
    expect(leaf.subjectAltName).toBe(`URI:${ID}`);
    expect(leaf.checkPrivateKey(createPrivateKey(text("svid_key.pem")))).toBe(true);
    const roots = text("bundle.pem").match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
    expect(roots.some((root) => leaf.verify(new X509Certificate(root).publicKey))).toBe(true);
    return leaf.serialNumber;
  };
  const first = await check();
  const validate = ["api", "validate", "jwt", "-audience", "db", "-socketPath", pair.site.agentSocket];
  const valid = await run(PROGRAMS.agent, [...validate, "-svid", text("jwt.token")]);
  expect(valid).toMatchObject({ status: 0, stdout: expect.stringContaining(ID) as string });

  const jwt = await authorities(pair.site, "jwt", PROGRAMS.server).rotate();
  await daemon.until("both JWT keys", () => keysOf(text("jwt_bundle.json")).includes(jwt.after));
  await daemon.until("a token of the new key", () => kidOf(text("jwt.token")) === jwt.after, 40_000);

  const x509 = authorities(pair.site, "x509", PROGRAMS.server);
  const { before } = await x509.rotate();
  const signals = (): number => daemon.log().split("told to reload\n").length - 1;
  const told = signals();
  await x509.say("taint", "-authorityID", before);
  await daemon.until("a new certificate", () => serialOf(text("svid.pem")) !== first);
  await daemon.until("the signal", () => signals() > told);
  expect(await check()).not.toBe(first);
});

/** Files are read while they are written: what is not whole is not there yet. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

const kidOf = (token: string): string | undefined => attempt(() => decodeProtectedHeader(token).kid);
const serialOf = (pem: string): string | undefined => attempt(() => new X509Certificate(pem).serialNumber);

/** The key IDs of the trust domain's bundle, as the helper writes it: base64 by trust domain. */
function keysOf(file: string): string[] {
  const bundles = attempt(() => JSON.parse(file) as Record<string, string>) ?? {};
  return Object.values(bundles).flatMap((bundle) => {
    const { keys } = JSON.parse(Buffer.from(bundle, "base64").toString()) as { keys: { kid: string }[] };
    return keys.map(({ kid }) => kid);
  });
}
