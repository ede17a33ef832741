/** The TPM by the addon, against a software TPM: what it makes is right, and what it loads is flushed. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Swtpm } from "../../scripts/lib/swtpm.ts";
import { parseAttest } from "../../src/attestors/tpm/structures/attest.ts";
import { checkCreationData } from "../../src/attestors/tpm/structures/creation-data.ts";
import { nameOf, parsePublicArea, spkiOf } from "../../src/attestors/tpm/structures/public-area.ts";
import { parseSignature, verifyTpmSignature } from "../../src/attestors/tpm/structures/signature.ts";
import type { TpmKey, TpmKeyBlob } from "../../src/lib/native-tpm.ts";
import { publicKeyFromSpki } from "../../src/pki/spki.ts";
import { openFiles } from "./support.ts";
import { AK_TEMPLATES, challenge, EKS, MISSING, open, PCRS, rejection, SRK, startTpm, WHY } from "./tpm-support.ts";

const P256_EK = EKS["persistent P-256"] as TpmKey;
const PARENTS: Readonly<Record<string, TpmKey>> = { "the SRK": SRK, "a P-256 EK": P256_EK };

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function signs(ak: TpmKeyBlob, signature: Uint8Array, message: Uint8Array): boolean {
  const key = publicKeyFromSpki(spkiOf(parsePublicArea(ak.public)));
  return verifyTpmSignature(parseSignature(signature), key, message);
}

describe.skipIf(MISSING !== undefined)(`a software TPM${WHY}`, () => {
  let tpm: Swtpm;
  beforeAll(async () => {
    tpm = await startTpm();
  });
  afterAll(() => tpm[Symbol.asyncDispose]());

  /** Nothing may be left in it by anyone. */
  async function expectNothingLoaded(): Promise<void> {
    expect(await tpm.loadedHandles()).toEqual({ transient: 0, sessions: 0 });
  }

  test("libtss2 is loaded once and is silent", async () => {
    await using handle = await open(tpm.tcti);
    await handle.nvRead(0x01c0ffff);
    expect(process.env.TSS2_LOG).toBe("all+NONE");
    expect(readFileSync("/proc/self/maps", "utf8")).not.toContain("tcti");
  });

  test("capabilities", async () => {
    await using handle = await open(tpm.tcti);
    // TPM2_CAP_TPM_PROPERTIES, TPM2_PT_FAMILY_INDICATOR
    const family = await handle.getCapability(6, 0x100, 1);
    expect(hex(family)).toBe(`000000060000000100000100${hex(Buffer.from("2.0\0"))}`);
    expect(await rejection(handle.getCapability(0xffff, 0, 1))).toMatchObject({ code: "ERR_TPM", rc: 0x1c4 });
  });

  test("NV indices: a whole certificate, or null where there is none", async () => {
    await using handle = await open(tpm.tcti);
    expect(await handle.nvRead(0x01c0ffff)).toBeNull();
    const certificate = await handle.nvRead(0x01c00002);
    await handle.close();
    expect(certificate).toEqual(Buffer.from((await tpm.tpm.nvRead(0x01c00002)) ?? []));
    expect(certificate?.length).toBeGreaterThan(512);
  });

  test("public areas, of persistent keys and of primaries", async () => {
    await using handle = await open(tpm.tcti);
    for (const kind of ["RSA", "P-256", "P-384"]) {
      const made = await handle.readPublic(EKS[`primary ${kind}`] as TpmKey);
      expect(made).not.toBeNull();
      expect(await handle.readPublic(EKS[`persistent ${kind}`] as TpmKey)).toEqual(made);
    }
    expect(await handle.readPublic({ handle: 0x8101ffff, auth: "password" })).toBeNull();
  });

  test("PCRs", async () => {
    const digest = createHash("sha256").update("measured").digest();
    await tpm.extend("sha256", 7, digest);
    const value = await tpm.readPcr("sha256", 7);
    await using handle = await open(tpm.tcti);
    const read = await handle.pcrRead(PCRS);
    expect(read.selection).toEqual(PCRS);
    expect(read.digests).toHaveLength(8);
    expect(read.digests[7]).toEqual(Buffer.from(value));
    expect(read.updateCounter).toBeGreaterThan(0);
    const more = await handle.pcrRead(Buffer.from("00000001000b03ffffff", "hex"));
    expect(more).toEqual(read);
  });

  describe.each(Object.keys(PARENTS))("an attestation key below %s", (parentName) => {
    const parent = PARENTS[parentName] as TpmKey;

    test.each(["ecc", "rsa"] as const)("%s: certifies its creation, quotes and opens credentials", async (kind) => {
      await using handle = await open(tpm.tcti);
      const ak = await handle.createAk(parent, AK_TEMPLATES[kind]);
      const creation = parseAttest(ak.creationAttestation);
      checkCreationData(ak.creationData);
      if (creation.attested.kind !== "creation") throw new Error("it states something else");
      expect(hex(creation.attested.objectName)).toBe(hex(nameOf(parsePublicArea(ak.public))));
      expect(hex(creation.attested.creationHash)).toBe(createHash("sha256").update(ak.creationData).digest("hex"));
      expect(creation.extraData).toHaveLength(0);
      expect(signs(ak, ak.creationSignature, ak.creationAttestation)).toBe(true);

      const nonce = Buffer.alloc(32, 7);
      const { attest, signature } = await handle.quote(parent, ak, nonce, PCRS);
      expect(parseAttest(attest).attested.kind).toBe("quote");
      expect(hex(parseAttest(attest).extraData)).toBe(hex(nonce));
      expect(signs(ak, signature, attest)).toBe(true);

      for (const ek of Object.values(EKS)) {
        const { secret, credential, encrypted } = await challenge(handle, ek, ak);
        expect(await handle.activateCredential(parent, ak, ek, credential, encrypted)).toEqual(secret);
      }
      await handle.close();
      await expectNothingLoaded();
    });
  });

  test("a credential that was changed, or is of another key, is refused and leaves nothing", async () => {
    await using handle = await open(tpm.tcti);
    const ak = await handle.createAk(SRK, AK_TEMPLATES.ecc);
    const other = await handle.createAk(SRK, AK_TEMPLATES.ecc);
    const { secret, credential, encrypted } = await challenge(handle, P256_EK, ak);
    const changed = Buffer.from(credential);
    changed.writeUInt8(changed.readUInt8(10) ^ 1, 10);
    // TPM_RC_INTEGRITY of the first parameter
    const refused = { code: "ERR_TPM", call: "Esys_ActivateCredential", rc: 0x1df };
    const changedError = await rejection(handle.activateCredential(SRK, ak, P256_EK, changed, encrypted));
    expect(changedError).toMatchObject(refused);
    expect(changedError.message).toMatch(/^Esys_ActivateCredential: 0x1df .*integrity/);
    expect(await rejection(handle.activateCredential(SRK, other, P256_EK, credential, encrypted))).toMatchObject(
      refused,
    );
    // The wrong way of authorization: TPM_RC_AUTH_UNAVAILABLE.
    const password: TpmKey = { handle: 0x81010002, auth: "password" };
    expect(await rejection(handle.activateCredential(SRK, ak, password, credential, encrypted))).toMatchObject({
      code: "ERR_TPM",
      rc: 0x12f,
    });
    expect(await handle.activateCredential(SRK, ak, P256_EK, credential, encrypted)).toEqual(secret);
    await handle.close();
    await expectNothingLoaded();
  });

  test("a key that the TPM did not make, or has below another parent, is refused and leaves nothing", async () => {
    await using handle = await open(tpm.tcti);
    const ak = await handle.createAk(P256_EK, AK_TEMPLATES.ecc);
    expect(await rejection(handle.quote(SRK, ak, Buffer.alloc(0), PCRS))).toMatchObject({ call: "Esys_Load" });
    const damaged = { ...ak, private: Buffer.alloc(ak.private.length, 1) };
    expect(await rejection(handle.quote(P256_EK, damaged, Buffer.alloc(0), PCRS))).toMatchObject({ call: "Esys_Load" });
    const absent: TpmKey = { handle: 0x8101ffff, auth: "policy-secret" };
    expect(await rejection(handle.createAk(absent, AK_TEMPLATES.ecc))).toMatchObject({ code: "ERR_TPM", rc: 0x18b });
    expect(await rejection(handle.createAk(SRK, SRK_AS_AK))).toMatchObject({ call: "Esys_CertifyCreation" });
    await handle.close();
    await expectNothingLoaded();
  });

  test("a thousand operations leave nothing in the TPM and no descriptor", { timeout: 120_000 }, async () => {
    const before = openFiles();
    {
      await using handle = await open(tpm.tcti);
      const ak = await handle.createAk(SRK, AK_TEMPLATES.ecc);
      const { credential, encrypted } = await challenge(handle, P256_EK, ak);
      const wrong = Buffer.from(credential).fill(0, 4, 8);
      for (let round = 0; round < 100; round++) {
        for (let i = 0; i < 4; i++) await handle.quote(SRK, ak, Buffer.of(i), PCRS);
        await handle.activateCredential(SRK, ak, P256_EK, credential, encrypted);
        await rejection(handle.activateCredential(SRK, ak, P256_EK, wrong, encrypted));
        await rejection(handle.quote(P256_EK, ak, Buffer.of(round), PCRS));
        await handle.readPublic(SRK);
        await handle.nvRead(0x01c0ffff);
        await handle.pcrRead(PCRS);
      }
    }
    for (let i = 0; i < 50; i++) await (await open(tpm.tcti)).close();
    await expectNothingLoaded();
    expect(openFiles()).toBe(before);
  });

  test("what others left behind is flushed", async () => {
    const template = Buffer.from(SRK_AS_AK);
    for (let i = 0; i < 2; i++) await loadAndForget(tpm, template);
    expect(await tpm.loadedHandles()).toEqual({ transient: 2, sessions: 0 });
    for (const type of [0, 1]) await tpm.command(startSession(type));
    await using handle = await open(tpm.tcti);
    expect(await handle.flushStale()).toBe(4);
    expect(await handle.flushStale()).toBe(0);
    await handle.close();
    await expectNothingLoaded();
  });
});

/** A storage key: it cannot certify. */
const SRK_AS_AK = "template" in SRK ? SRK.template : new Uint8Array();

/** TPM2_CreatePrimary of the owner, and no flush. */
async function loadAndForget(tpm: Swtpm, template: Buffer): Promise<void> {
  const sized = Buffer.concat([Buffer.of(template.length >> 8, template.length & 0xff), template]);
  const start = Buffer.from("8002000000000000013140000001000000094000000900000000000004000000000000", "hex");
  const command = Buffer.concat([start.subarray(0, 33), sized, Buffer.alloc(6)]);
  command.writeUInt32BE(command.length, 2);
  const answer = Buffer.from(await tpm.command(command));
  expect(answer.readUInt32BE(6)).toBe(0);
}

/** TPM2_StartAuthSession: 0 is an HMAC session, 1 one of a policy. */
function startSession(type: number): Buffer {
  const nonce = `0010${"00".repeat(16)}`;
  const command = Buffer.from(`80010000000000000176${"40000007".repeat(2)}${nonce}00000${type}0010000b`, "hex");
  command.writeUInt32BE(command.length, 2);
  return command;
}
