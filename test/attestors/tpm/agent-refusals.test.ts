/** The agent's half where a server asks what it may not, or the TPM fails. */
import { afterAll, describe, expect, test } from "vitest";
import { EK_KINDS } from "../../fakes/soft-tpm/tpm.ts";
import { attest, json, newCsr, QUOTE, server, setUp, signal, tpmWith } from "./agent-support.ts";
import { FakeTpm, tpmError } from "./device/fake-tpm.ts";
import { nodesWith } from "./server-harness.ts";

afterAll(() => server[Symbol.dispose]());

describe("challenges that are not what comes next", () => {
  const begin = async (tpm = tpmWith("ec-p256")) => setUp(tpm).attestor.begin({ csrPublicKey: newCsr() }, signal);

  test("a quote before the credential: no key signs what has not been asked rightly", async () => {
    const ceremony = await begin();
    await expect(ceremony.respond(json({ Quote: QUOTE }))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: "the server asked for a quote; expected credential",
    });
  });

  test("each twice, or anything after the quote", async () => {
    const seen: Uint8Array[] = [];
    const { attestor } = setUp(tpmWith("ec-p256"));
    const ceremony = await attestor.begin({ csrPublicKey: newCsr() }, signal);
    const half = await server.attestor();
    const request = { payload: ceremony.payload, csrPublicKey: newCsr(), peerAddress: "", nodes: nodesWith() };
    // The CSR is another one: refused in the end, but all is asked.
    const refused = half.attest(request, async (challenge) => {
      if (seen.length > 0) await expect(ceremony.respond(seen[0] ?? challenge)).rejects.toThrow("expected quote");
      seen.push(challenge);
      return await ceremony.respond(challenge);
    });
    await expect(refused).rejects.toThrow("tpm: quote-nonce");
    for (const challenge of seen) await expect(ceremony.respond(challenge)).rejects.toThrow("expected nothing");
  });

  test.each([
    ["a nonce too short", { ...QUOTE, Nonce: "AAAA" }, "the server's nonce has 3 bytes, want 32"],
    ["no nonce", { ...QUOTE, Nonce: "" }, "the server's nonce has 0 bytes, want 32"],
    ["a nonce that could be a statement", { ...QUOTE, Nonce: Buffer.alloc(64).toString("base64") }, "has 64 bytes"],
    ["a bank that the TPM lacks", { ...QUOTE, PCRs: [{ Bank: "sha1", Indices: [7] }] }, "which the TPM lacks"],
  ])("%s", async (_name, Quote, message) => {
    const tpm = tpmWith("ec-p256");
    const { attestor } = setUp(tpm);
    let asked = 0;
    const refused = attest(attestor, {}, (challenge) => (asked++ === 0 ? challenge : json({ Quote })));
    await expect(refused).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining(message),
    });
    expect(tpm.calls).not.toContain("quote");
  });

  test.each([
    ["not JSON", Buffer.from("x")],
    ["a credential of nothing", json({ EC: { Credential: "", Secret: "" } })],
    ["a credential that is none", json({ EC: { Credential: "AAAA", Secret: "AAAA" } })],
  ])("%s never reaches the TPM", async (_name, challenge) => {
    const tpm = tpmWith("ec-p256");
    const ceremony = await begin(tpm);
    await expect(ceremony.respond(challenge)).rejects.toMatchObject({ code: "MALFORMED" });
    expect(tpm.calls).not.toContain("activateCredential");
  });
});

describe("failures of the TPM", () => {
  test.each([
    ["it is not there", tpmError("ENOENT"), "FAILED_PRECONDITION"],
    ["it may not be used", tpmError("EACCES"), "FAILED_PRECONDITION"],
    ["its library is missing", tpmError("ERR_TPM_LIBRARY"), "FAILED_PRECONDITION"],
    ["nobody answers", tpmError("ECONNREFUSED"), "UNAVAILABLE"],
  ])("%s", async (_name, error, code) => {
    const tpm = tpmWith("ec-p256");
    tpm.refusesToOpen.push(error);
    await expect(setUp(tpm).attestor.begin({ csrPublicKey: newCsr() }, signal)).rejects.toMatchObject({ code });
  });

  test.each([
    ["createAk", 0x921, "UNAVAILABLE"],
    ["createAk", 0x101, "FAILED_PRECONDITION"],
    ["getCapability 5", 0x922, "UNAVAILABLE"],
    ["activateCredential", 0x9a2, "FAILED_PRECONDITION"],
    ["quote", 0x922, "UNAVAILABLE"],
  ] as const)("%s fails with 0x%x: %s, and the TPM is closed", async (call, rc, code) => {
    const tpm = tpmWith("ec-p256");
    tpm.before = (current) => {
      if (current === call) throw tpmError("ERR_TPM", rc);
    };
    await expect(attest(setUp(tpm).attestor)).rejects.toMatchObject({ code });
    expect(tpm.open).toBe(0);
  });

  test("no endorsement key", async () => {
    const tpm = new FakeTpm();
    for (const kind of EK_KINDS) tpm.lacks.add(kind);
    await expect(attest(setUp(tpm).attestor)).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  });

  test("the ceremony is given up: the agent does not wait for the TPM", async () => {
    const tpm = tpmWith("ec-p256");
    const gate = Promise.withResolvers<void>();
    const began = Promise.withResolvers<void>();
    tpm.before = async (call) => {
      if (call !== "createAk") return;
      began.resolve();
      await gate.promise;
    };
    const gone = new AbortController();
    const ceremony = setUp(tpm).attestor.begin({ csrPublicKey: newCsr() }, gone.signal);
    ceremony.catch(() => {});
    await began.promise;
    gone.abort(new Error("stopping"));
    await expect(ceremony).rejects.toThrow("stopping");
    gate.resolve();
  });
});
