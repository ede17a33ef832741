/** Secrets sealed to a software TPM: given back by it alone, and only while its PCRs are as they were. */
import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Swtpm } from "../../scripts/lib/swtpm.ts";
import type { TpmKey } from "../../src/lib/native-tpm.ts";
import { EKS, MISSING, open, rejection, SRK, startTpm, WHY } from "./tpm-support.ts";

/** TPML_PCR_SELECTION: SHA-256 bank, PCR 7; PCR 16, which can be reset; and none. */
const PCR_7 = Buffer.from("00000001000b03800000", "hex");
const PCR_16 = Buffer.from("00000001000b03000001", "hex");
const NONE = Buffer.from("00000000", "hex");
const SECRET = randomBytes(32);

describe.skipIf(MISSING !== undefined)(`sealing to a software TPM${WHY}`, () => {
  let tpm: Swtpm;
  beforeAll(async () => {
    tpm = await startTpm();
  });
  afterAll(() => tpm[Symbol.asyncDispose]());

  test.each([
    ["to PCR 7", PCR_7],
    ["to no PCR", NONE],
  ])("a secret sealed %s comes back, each time, and nothing stays in the TPM", async (_name, selection) => {
    await using handle = await open(tpm.tcti);
    for (const parent of [SRK, EKS["persistent P-256"] as TpmKey]) {
      const blob = await handle.seal(parent, selection, SECRET);
      expect(await handle.unseal(parent, blob, selection)).toEqual(SECRET);
      expect(await handle.unseal(parent, blob, selection)).toEqual(SECRET);
      expect(Buffer.from(blob.private).includes(SECRET)).toBe(false);
      expect(Buffer.from(blob.public).includes(SECRET)).toBe(false);
    }
    await handle.close();
    expect(await tpm.loadedHandles()).toEqual({ transient: 0, sessions: 0 });
  });

  test("not once a PCR has changed: TPM_RC_POLICY_FAIL, and nothing stays in the TPM", async () => {
    await using handle = await open(tpm.tcti);
    const blob = await handle.seal(SRK, PCR_16, SECRET);
    await handle.close();
    await tpm.extend("sha256", 16, createHash("sha256").update("other").digest());
    await using again = await open(tpm.tcti);
    expect(await rejection(again.unseal(SRK, blob, PCR_16))).toMatchObject({ code: "ERR_TPM", rc: 0x99d });
    await again.close();
    expect(await tpm.loadedHandles()).toEqual({ transient: 0, sessions: 0 });
  });

  test("the policy cannot be left out, nor another one named", async () => {
    await using handle = await open(tpm.tcti);
    const blob = await handle.seal(SRK, PCR_7, SECRET);
    for (const selection of [NONE, PCR_16]) {
      expect(await rejection(handle.unseal(SRK, blob, selection))).toMatchObject({ code: "ERR_TPM" });
    }
  });

  test("not by another TPM, nor below another key", async () => {
    await using other = await startTpm();
    await using handle = await open(tpm.tcti);
    const blob = await handle.seal(SRK, NONE, SECRET);
    await using stranger = await open(other.tcti);
    expect(await rejection(stranger.unseal(SRK, blob, NONE))).toMatchObject({ code: "ERR_TPM" });
    expect(await rejection(handle.unseal(EKS["persistent P-256"] as TpmKey, blob, NONE))).toMatchObject({
      code: "ERR_TPM",
    });
  });

  test("a blob that was changed is refused", async () => {
    await using handle = await open(tpm.tcti);
    const blob = await handle.seal(SRK, NONE, SECRET);
    const changed = Buffer.from(blob.private);
    changed.writeUInt8(changed.readUInt8(changed.length - 1) ^ 1, changed.length - 1);
    expect(await rejection(handle.unseal(SRK, { ...blob, private: changed }, NONE))).toMatchObject({ code: "ERR_TPM" });
  });

  test.each([
    ["empty", new Uint8Array()],
    ["longer than any TPM takes", new Uint8Array(257)],
  ])("a secret that is %s is refused before the TPM is asked", async (_name, secret) => {
    await using handle = await open(tpm.tcti);
    expect(await rejection(handle.seal(SRK, NONE, secret))).toMatchObject({ code: "EINVAL" });
  });
});
