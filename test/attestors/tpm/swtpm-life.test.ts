/** Both halves over real software TPMs that are booted anew, stop, go away or are locked out, and have other banks. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Swtpm } from "../../../scripts/lib/swtpm.ts";
import type { AttestResult } from "../../../src/attestors/node.ts";
import type { PcrProfile } from "../../../src/attestors/tpm/verify/pcr-policy.ts";
import type { AgentError } from "../../../src/lib/errors.ts";
import { type Line, nodesWith } from "./server-harness.ts";
import { MISSING, NOTHING, SwtpmAgent, SwtpmBench, WHY } from "./swtpm-support.ts";
import { expectRefusal } from "./vector.ts";

const values = ({ selectors }: AttestResult): readonly string[] => selectors.map(({ value }) => value);
const measured = createHash("sha256").update("measured").digest();

describe.skipIf(MISSING !== undefined)(`a software TPM and its life${WHY}`, () => {
  const bench = new SwtpmBench();
  const EC = { ek: "ec-p256" } as const;
  let tpm: Swtpm;
  beforeAll(async () => {
    tpm = await bench.start({ ekCertificates: ["rsa", "p256", "p384"] });
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  test("a reboot is seen, by counters that are not obfuscated", async () => {
    const { facts = {} } = await bench.attest(tpm, EC);
    expect(Number(facts.reset_count)).toBe(await tpm.tpm.resetCount());
    await tpm.restart();
    const lines: Line[] = [];
    const after = await bench.attest(tpm, EC, { facts }, lines);
    expect(after.facts).toMatchObject({
      reset_count: String(Number(facts.reset_count) + 1),
      restart_count: facts.restart_count,
      firmware_version: facts.firmware_version,
    });
    expect(lines.filter(({ message }) => message.startsWith("The node"))).toEqual([
      {
        level: "info",
        message: "The node was booted anew since it last attested",
        fields: {
          agent_id: after.agentId,
          old_reset_count: facts.reset_count,
          reset_count: after.facts?.reset_count,
        },
      },
    ]);
  });

  test("PCRs that changed are told", async () => {
    const { facts = {} } = await bench.attest(tpm, EC);
    await tpm.extend("sha256", 7, measured);
    const lines: Line[] = [];
    await bench.attest(tpm, EC, { facts }, lines);
    expect(lines.filter(({ message }) => message.startsWith("The node"))).toMatchObject([
      { level: "info", message: "The node's PCRs differ from when it last attested", fields: { pcrs: "sha256:7" } },
    ]);
  });

  test("a TPM that stops in the midst of it is UNAVAILABLE by the deadline, and useful again once it goes on", async () => {
    const agent = new SwtpmAgent(tpm.tcti, EC);
    const begun = await agent.begin();
    agent.timeoutMs = 300;
    const stopped = bench.judge(begun, {}, [], () => tpm.pause());
    await expect(stopped).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: `TPM at ${tpm.tcti}: the TPM does not answer; if it is slow, raise timeout`,
    });
    await expect(agent.begin()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    tpm.resume();
    agent.timeoutMs = 30_000;
    await bench.judge(await agent.begin());
  });

  test("a TPM that goes away in the midst of it is UNAVAILABLE, and useful again once it is back", async () => {
    const agent = new SwtpmAgent(tpm.tcti, EC);
    const gone = bench.judge(await agent.begin(), {}, [], () => tpm.kill());
    await expect(gone).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await expect(agent.begin()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await tpm.restart();
    await bench.judge(await agent.begin());
  });

  test("a TPM that goes away while it works is UNAVAILABLE", async () => {
    const { ceremony } = await new SwtpmAgent(tpm.tcti, EC).begin();
    const sent = Promise.withResolvers<Uint8Array>();
    const half = await bench.server.attestor();
    const begun = await new SwtpmAgent(tpm.tcti, EC).begin();
    const request = {
      payload: begun.ceremony.payload,
      csrPublicKey: begun.csrPublicKey,
      peerAddress: "",
      nodes: nodesWith(),
    };
    const result = half.attest(request, async (challenge) => {
      sent.resolve(challenge);
      throw new Error("not answered");
    });
    result.catch(() => {});
    const challenge = await sent.promise;
    tpm.pause();
    const answer = ceremony.respond(challenge).catch((error: unknown) => error as AgentError);
    await tpm.kill();
    expect(await answer).toMatchObject({ code: "UNAVAILABLE" });
    await tpm.restart();
  });

  test("a reboot in the midst of it is seen in the quote", async () => {
    const begun = await new SwtpmAgent(tpm.tcti, EC).begin();
    const result = bench.judge(begun, {}, [], (step) => (step === 1 ? tpm.restart() : undefined));
    // Keys outlive a reboot; what is quoted is what was booted since.
    const { facts } = await result;
    expect(Number(facts?.reset_count)).toBe(await tpm.tpm.resetCount());
  });

  test("what interrupted operations left in the TPM does not fill it up", async () => {
    const agent = new SwtpmAgent(tpm.tcti, { ek: "ec-p384" });
    try {
      for (let count = 0; count < 3; count++) {
        agent.timeoutMs = 30_000;
        const begun = await agent.begin();
        agent.timeoutMs = 300;
        await bench.judge(begun, {}, [], () => tpm.pause()).catch(() => {});
        tpm.resume();
      }
      agent.timeoutMs = 30_000;
      await bench.judge(await agent.begin());
    } finally {
      await tpm.restart();
    }
  });

  describe("locked out after wrong passwords", () => {
    beforeAll(() => tpm.lockout());

    test.each(["rsa-2048", "ec-p256", "ec-p384"] as const)("it attests all the same, %s", async (ek) => {
      const { agentId } = await bench.attest(tpm, { ek });
      expect(agentId).toContain("/spire/agent/tpm/");
    });
  });
});

describe.skipIf(MISSING !== undefined)(`banks of a software TPM${WHY}`, () => {
  const bench = new SwtpmBench();
  const EC = { ek: "ec-p256" } as const;
  afterAll(() => bench[Symbol.asyncDispose]());

  test("SHA-1 alone is refused where SHA-256 is wanted, before the TPM is asked anything", async () => {
    const tpm = await bench.start({ banks: ["sha1"], ekCertificates: ["p256"] });
    const error = await expectRefusal(bench.attest(tpm, EC), "quote-bank");
    expect(error.message).toBe("tpm: quote-bank: the TPM has no PCR bank sha256; it has sha1");
    // Where an operator wants no more, it is quoted.
    const result = await bench.attest(tpm, EC, { quoted: { bank: "sha1", indices: [0] } });
    expect(Object.keys(result.facts ?? {})).toContain("pcr:sha1:0");
  });

  test("three at once are quoted in one statement", async () => {
    const tpm = await bench.start({ banks: ["sha1", "sha256", "sha384", "sha512"], ekCertificates: ["p256"] });
    const banks = ["sha1", "sha256", "sha384"] as const;
    const pcrs: PcrProfile["pcrs"][number][] = [];
    for (const bank of banks) {
      pcrs.push({ bank, index: 17, values: [Buffer.from(await tpm.readPcr(bank, 17)).toString("hex")] });
    }
    const indices = Array.from({ length: 24 }, (_, index) => index);
    const setting = { profiles: [{ name: "all", pcrs }], quoted: { bank: "sha384", indices } as const };
    const result = await bench.attest(tpm, EC, setting);
    expect(values(result)).toContain("policy:all");
    expect(Object.keys(result.facts ?? {}).filter((name) => name.startsWith("pcr:"))).toHaveLength(26);
    expect(await tpm.loadedHandles()).toEqual(NOTHING);
  });

  test("a quote of nothing tells of reboots all the same", async () => {
    const tpm = await bench.start({ banks: ["sha256"], ekCertificates: ["p256"] });
    const result = await bench.attest(tpm, EC, { quoted: { bank: "sha256", indices: [] } });
    expect(Object.keys(result.facts ?? {}).sort()).toEqual(["firmware_version", "reset_count", "restart_count"]);
  });
});
