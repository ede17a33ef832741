/** Both halves over real software TPMs: every kind of key, policies, and nothing left in the TPM. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Swtpm } from "../../../scripts/lib/swtpm.ts";
import type { AttestResult } from "../../../src/attestors/node.ts";
import type { PcrProfile } from "../../../src/attestors/tpm/verify/pcr-policy.ts";
import { AK_KINDS, EK_KINDS } from "../../fakes/soft-tpm/tpm.ts";
import { nodesWith } from "./server-harness.ts";
import { MISSING, NOTHING, SwtpmAgent, SwtpmBench, WHY } from "./swtpm-support.ts";
import { expectRefusal } from "./vector.ts";

const values = ({ selectors }: AttestResult): readonly string[] => selectors.map(({ value }) => value);
const hashOf = ({ agentId }: AttestResult): string => agentId.split("/").at(-1) ?? "";
const measured = createHash("sha256").update("measured").digest();

describe.skipIf(MISSING !== undefined)(`a software TPM${WHY}`, () => {
  const bench = new SwtpmBench();
  let certified: Swtpm;
  let bare: Swtpm;
  beforeAll(async () => {
    [certified, bare] = await Promise.all([
      bench.start({ ekCertificates: ["rsa", "p256", "p384"] }),
      bench.start({ ekCertificates: [], persistentEk: ["rsa", "p256", "p384"] }),
    ]);
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  describe.each(EK_KINDS.flatMap((ek) => AK_KINDS.map((ak) => ({ ek, ak }))))("$ek and $ak", ({ ek, ak }) => {
    test("certified by its vendor, made anew for each use", async () => {
      const result = await bench.attest(certified, { ek, ak });
      expect(values(result)).toEqual([
        `pub_hash:${hashOf(result)}`,
        "manufacturer:id:00001014",
        "model:swtpm",
        expect.stringMatching(/^version:id:/),
      ]);
      expect(await certified.loadedHandles()).toEqual(NOTHING);
    });

    test("listed by its hash, kept in the TPM", async () => {
      const begun = await new SwtpmAgent(bare.tcti, { ek, ak }).begin();
      const pem = Buffer.from(JSON.parse(Buffer.from(begun.ceremony.payload).toString()).EK, "base64").toString();
      expect(pem).not.toContain("CERTIFICATE");
      const spki = Buffer.from(pem.replaceAll(/-----[A-Z ]+-----|\s/g, ""), "base64");
      writeFileSync(join(bench.server.hashPath, createHash("sha256").update(spki).digest("hex")), "");
      const result = await bench.judge(begun, { folders: "hash" });
      expect(values(result)).toEqual([`pub_hash:${createHash("sha256").update(spki).digest("hex")}`]);
      expect(await bare.loadedHandles()).toEqual(NOTHING);
    });
  });

  test("keys differ among kinds and TPMs, and are the same each time", async () => {
    // One agent at a time for each TPM: whoever waits for a software TPM holds one of Node's four threads.
    const ids = await Promise.all(
      [certified, bare].map(async (tpm) => {
        const saved = [];
        for (const ek of EK_KINDS) {
          const agent = new SwtpmAgent(tpm.tcti, { ek });
          await agent.begin();
          await agent.begin();
          saved.push(agent.saved.map(({ hash }) => hash));
        }
        return saved;
      }),
    );
    expect(ids.flat().every((saved) => saved.length === 1)).toBe(true);
    expect(new Set(ids.flat(2)).size).toBe(6);
  });

  test("the choice is RSA where nothing is asked for", async () => {
    const agent = new SwtpmAgent(certified.tcti);
    await agent.begin();
    expect(agent.saved).toMatchObject([{ template: "L-1" }]);
  });

  test("a key that is neither certified nor listed is refused", async () => {
    await expectRefusal(bench.attest(bare, { ek: "ec-p256" }), "ek-known");
  });

  test("a credential for another TPM's key is refused by the TPM, and leaves nothing", async () => {
    const other = await new SwtpmAgent(bare.tcti, { ek: "ec-p256" }).begin();
    const mine = await new SwtpmAgent(certified.tcti, { ek: "ec-p256" }).begin();
    const half = await bench.server.attestor();
    const request = {
      payload: mine.ceremony.payload,
      csrPublicKey: mine.csrPublicKey,
      peerAddress: "",
      nodes: nodesWith(),
    };
    const relayed = half.attest(request, (challenge) => other.ceremony.respond(challenge));
    await expect(relayed).rejects.toMatchObject({ code: "INTERNAL", message: expect.stringContaining("it refused") });
    expect(await bare.loadedHandles()).toEqual(NOTHING);
  });

  describe("policies", () => {
    const profileOf = async (tpm: Swtpm, index: number): Promise<PcrProfile> => ({
      name: "booted",
      pcrs: [{ bank: "sha256", index, values: [Buffer.from(await tpm.readPcr("sha256", index)).toString("hex")] }],
    });

    test("are met until something else is measured; the refusal names the PCR and its value", async () => {
      await certified.extend("sha256", 9, measured);
      const profiles = [await profileOf(certified, 9)];
      const agent = { ek: "ec-p256" } as const;
      expect(values(await bench.attest(certified, agent, { profiles }))).toContain("policy:booted");
      await certified.extend("sha256", 9, measured);
      const now = Buffer.from(await certified.readPcr("sha256", 9)).toString("hex");
      const error = await expectRefusal(bench.attest(certified, agent, { profiles }), "pcr-policy");
      expect(error.message).toBe(`tpm: pcr-policy: no profile is met: booted differs in sha256:9 (is ${now})`);
    });

    test("what is measured between the credential and the quote counts", async () => {
      const profiles = [await profileOf(certified, 10)];
      const begun = await new SwtpmAgent(certified.tcti, { ek: "ec-p256" }).begin();
      const late = async (step: number): Promise<void> => {
        if (step === 1) await certified.extend("sha256", 10, measured);
      };
      await expectRefusal(bench.judge(begun, { profiles }, [], late), "pcr-policy");
    });

    test("all PCRs of the bank, as selectors", async () => {
      const indices = Array.from({ length: 24 }, (_, index) => index);
      const quoted = { bank: "sha256", indices } as const;
      const result = await bench.attest(certified, { ek: "ec-p256" }, { quoted, pcrSelectors: true });
      const seven = Buffer.from(await certified.readPcr("sha256", 7)).toString("hex");
      expect(values(result)).toContain(`pcr:sha256:7:${seven}`);
      expect(values(result)).toHaveLength(4 + 24);
    });
  });

  test("fifty attestations leave nothing in the TPM", async () => {
    const agent = new SwtpmAgent(certified.tcti, { ek: "ec-p256" });
    for (let count = 0; count < 50; count++) await bench.judge(await agent.begin());
    expect(await certified.loadedHandles()).toEqual(NOTHING);
  });

  test("two agents with one TPM at the same moment are both admitted", async () => {
    const agents = [
      new SwtpmAgent(certified.tcti, { ek: "ec-p256" }),
      new SwtpmAgent(certified.tcti, { ek: "ec-p384" }),
    ];
    const results = await Promise.all(agents.map(async (agent) => bench.judge(await agent.begin())));
    expect(new Set(results.map(hashOf)).size).toBe(2);
    expect(await certified.loadedHandles()).toEqual(NOTHING);
  });

  test("ceremonies of one agent that interleave do not disturb each other", async () => {
    const agent = new SwtpmAgent(certified.tcti, { ek: "ec-p256" });
    const begun = [await agent.begin(), await agent.begin(), await agent.begin()];
    const results = await Promise.all(begun.toReversed().map((ceremony) => bench.judge(ceremony)));
    expect(new Set(results.map(hashOf)).size).toBe(1);
    expect(await certified.loadedHandles()).toEqual(NOTHING);
  });

  test("an agent that is stopped in the midst of it leaves nothing", async () => {
    const agent = new SwtpmAgent(certified.tcti, { ek: "rsa-2048" });
    const gone = new AbortController();
    const begun = agent.begin(gone.signal);
    begun.catch(() => {});
    gone.abort(new Error("stopping"));
    await expect(begun).rejects.toThrow("stopping");
    // The next one waits for what the TPM is still doing.
    await bench.judge(await agent.begin());
    expect(await certified.loadedHandles()).toEqual(NOTHING);
  });
});
