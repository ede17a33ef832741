/** MakeCredential in software, opened by an inverse that was written from the standard alone. */
import { createPublicKey, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { checkCredential } from "../../../../src/attestors/tpm/structures/credential.ts";
import { makeCredential } from "../../../../src/attestors/tpm/verify/make-credential.ts";
import { readSpki } from "../../../../src/pki/spki.ts";
import {
  activateCredential,
  akName,
  EK_KINDS,
  IntegrityError,
  type SoftEk,
  softAk,
  softEk,
} from "../../../fakes/soft-tpm/tpm.ts";
import { flipped } from "../vector.ts";

const name = akName(softAk("ec-p256"));

function make(ek: SoftEk, secret: Uint8Array, ak: Uint8Array = name): { credential: Uint8Array; secret: Uint8Array } {
  const key = createPublicKey(ek.privateKey);
  return makeCredential({ key, numbers: readSpki(ek.spki) }, ak, secret, randomBytes);
}

describe.each(EK_KINDS)("for an endorsement key %s", (kind) => {
  const ek = softEk(kind);
  const secret = randomBytes(32);

  test("opens to the secret, whatever its length", () => {
    for (const length of [1, 16, 20, 32, kind === "ec-p384" ? 48 : 32]) {
      const sent = secret.subarray(0, length);
      const made = make(ek, sent);
      checkCredential(made);
      expect(Buffer.from(activateCredential(ek, name, made.credential, made.secret))).toEqual(Buffer.from(sent));
    }
  });

  test("is another one each time", () => {
    const [one, two] = [make(ek, secret), make(ek, secret)];
    expect(Buffer.from(one.credential)).not.toEqual(Buffer.from(two.credential));
    expect(Buffer.from(one.secret)).not.toEqual(Buffer.from(two.secret));
    // What belongs to one does not go with the other.
    expect(() => activateCredential(ek, name, one.credential, two.secret)).toThrow(IntegrityError);
  });

  test("opens for no other attestation key, and in no other TPM", () => {
    const { credential, secret: encrypted } = make(ek, secret);
    const other = akName(softAk("ec-p256"));
    expect(() => activateCredential(ek, other, credential, encrypted)).toThrow(IntegrityError);
    expect(() => activateCredential(softEk(kind, "stranger"), name, credential, encrypted)).toThrow(IntegrityError);
  });

  test("does not open with any byte of it changed", () => {
    const made = make(ek, secret);
    for (let at = 2; at < made.credential.length; at++) {
      expect(() => activateCredential(ek, name, flipped(made.credential, at), made.secret)).toThrow();
    }
  });

  test("has the lengths of its profile", () => {
    const { credential, secret: encrypted } = make(ek, secret);
    const hash = kind === "ec-p384" ? 48 : 32;
    expect(credential).toHaveLength(2 + 2 + hash + 2 + 32);
    expect(encrypted).toHaveLength(2 + { "rsa-2048": 256, "ec-p256": 2 * 34, "ec-p384": 2 * 50 }[kind]);
  });
});

test.each(["ec-p256", "ec-p384"] as const)("leading zeros of a shared point do not matter, %s", (kind) => {
  // One in 256 has some, in the secret or in a coordinate: five hundred tries meet a few of each.
  const ek = softEk(kind);
  const tries = kind === "ec-p256" ? 500 : 120;
  for (let count = 0; count < tries; count++) {
    const made = make(ek, Buffer.of(count));
    expect(Buffer.from(activateCredential(ek, name, made.credential, made.secret))).toEqual(Buffer.of(count));
  }
});
