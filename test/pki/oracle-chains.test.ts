/**
 * OpenSSL's verdict on every chain of ours: what we trust, it trusts, and what we refuse, it refuses, but for what is
 * listed here with the reason.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { pemEncode } from "../../src/pki/pem.ts";
import { ACCEPTED } from "./accepted-chains.ts";
import { type Case, type Chain, der } from "./chains.ts";
import { NOW } from "./make.ts";
import { REFUSED } from "./refused-chains.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-chains-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Chains that we trust and OpenSSL may refuse. */
const ONLY_OURS: ReadonlySet<string> = new Set([
  // OpenSSL builds one path and does not go back; key identifiers decide for it, and are a hint for us and for Go
  "same-name intermediates without key identifiers",
  "key identifiers that do not match are a hint only",
  // RFC 5280 4.1.2.5 includes the last second, OpenSSL excludes it
  "valid in its first and last second",
]);

/** Chains that we refuse and OpenSSL may trust. */
const ONLY_THEIRS: ReadonlySet<string> = new Set([
  // it reads more than DER
  "BER boolean",
  "ECDSA with a NULL parameter",
  "RSA without the NULL parameter",
  "trailing bytes after the leaf",
  "trailing bytes after an intermediate",
  // it reads certificates that RFC 5280 forbids
  "duplicate unknown extension",
  "negative serial number",
  "serial number of 21 bytes",
  "path length without cA",
  "version 1 with extensions",
  "name constraints in the leaf",
  // it accepts more algorithms and keys
  "SHA-1 with ECDSA",
  "SHA-1 with RSA",
  "RSA-PSS with a short salt",
  "Ed25519 intermediate",
  "Ed25519 leaf",
  "curve secp256k1",
  "RSA of 1024 bits",
  "RSA of 1024 bits in the leaf",
  "RSA of 8200 bits",
  "RSA with exponent 1",
  "RSA with an even exponent",
  "RSA with a huge exponent",
  // it asks less of a trust anchor
  "root of version 1",
  "leaf presented as its own authority",
  // it knows policies, and judges by them only when told to
  "critical policy constraints",
  "policy constraints that are not critical",
]);

function opensslTrusts([[leaf, ...untrusted], authorities]: Case): boolean {
  const file = (name: string, certs: Chain): string => {
    const path = join(folder, name);
    writeFileSync(
      path,
      der(certs)
        .map((cert) => pemEncode("CERTIFICATE", cert))
        .join(""),
    );
    return path;
  };
  const args = ["verify", "-partial_chain", "-attime", String(NOW / 1000)];
  args.push("-trusted", file("authorities.pem", authorities));
  if (untrusted.length > 0) args.push("-untrusted", file("untrusted.pem", untrusted));
  args.push(file("leaf.pem", leaf === undefined ? [] : [leaf]));
  return spawnSync("openssl", args).status === 0;
}

test.each(Object.entries(ACCEPTED).filter(([name]) => !ONLY_OURS.has(name)))("trusted: %s", (_name, make) => {
  expect(opensslTrusts(make())).toBe(true);
});

test.each(Object.entries(REFUSED).filter(([name]) => !ONLY_THEIRS.has(name)))("refused: %s", (_name, [, make]) => {
  expect(opensslTrusts(make())).toBe(false);
});

test("the exceptions are chains of ours", () => {
  expect([...ONLY_OURS].filter((name) => !(name in ACCEPTED))).toEqual([]);
  expect([...ONLY_THEIRS].filter((name) => !(name in REFUSED))).toEqual([]);
});
