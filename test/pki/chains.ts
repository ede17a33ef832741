/** Chains of leaf, intermediate and root for the validator's tests, and what to expect of it. */
import { expect } from "vitest";
import { AgentError } from "../../src/lib/errors.ts";
import { type ValidatedSvid, validateX509Svid } from "../../src/pki/validate.ts";
import { parseTrustDomain } from "../../src/spiffe/id.ts";
import {
  type CertFields,
  ecKey,
  ext,
  LEAF_ID,
  makeCa,
  makeLeaf,
  NOW,
  rsaKey,
  ski,
  TD,
  type TestCert,
  type TestKey,
} from "./make.ts";

/** Certificates, made or raw. */
export type Chain = readonly (TestCert | Uint8Array)[];
/** A chain, leaf first, and the authorities to judge it by. */
export type Case = readonly [chain: Chain, authorities: Chain];

/** RSA keys take long to make: two for all. */
export const rsa: TestKey = rsaKey();
export const rsa2: TestKey = rsaKey();

export const uri: Uint8Array = ext.uri(LEAF_ID);

export function der(certs: Chain): Uint8Array[] {
  return certs.map((cert) => ("der" in cert ? cert.der : cert));
}

/** The validator's verdict at the moment the certificates were made for. */
export function validate([chain, authorities]: Case): ValidatedSvid {
  return validateX509Svid(der(chain), der(authorities), { now: NOW, trustDomain: parseTrustDomain(TD) });
}

/** Leaf, intermediate and root, each made with the fields given. */
export function three(o: {
  leaf?: CertFields;
  leafAdd?: Uint8Array[];
  middle?: CertFields;
  middleAdd?: Uint8Array[];
  root?: CertFields;
  rootAdd?: Uint8Array[];
}): Case {
  const root = makeCa(undefined, o.root, o.rootAdd);
  const middle = makeCa(root, o.middle, o.middleAdd);
  return [[makeLeaf(middle, o.leaf, o.leafAdd), middle], [root]];
}

/** Extensions of a leaf without its subject alternative names. */
export function leafExtensions(...others: Uint8Array[]): Uint8Array[] {
  return [ext.leafUsage, ext.bothEku, ext.notCa, ...others];
}

/** Fields of a leaf with its URI and these extensions. */
export function withUri(...others: Uint8Array[]): CertFields {
  return { extensions: [...others, uri] };
}

/** Fields of a CA with a path length. */
export function caWith(pathLen: number, key = ecKey()): { key: TestKey; extensions: Uint8Array[] } {
  return { key, extensions: [ext.caWithPathLen(pathLen), ext.caUsage, ski(key)] };
}

/** The error of a call that must refuse. */
export function refusal(run: () => unknown): AgentError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(AgentError);
    return error as AgentError;
  }
  throw new Error("was accepted");
}

/** Expects a refusal by a check, whose name begins the message; other texts say which rule of parsing it was. */
export function expectRefusal(run: () => unknown, check: string): void {
  const error = refusal(run);
  expect(error.code).toBe("UNTRUSTED");
  expect(error.publicMessage).toBe("verification failed");
  if (/^[a-z-]+$/.test(check)) expect(error.message.split(":")[0]).toBe(check);
  else expect(error.message).toContain(check);
}
