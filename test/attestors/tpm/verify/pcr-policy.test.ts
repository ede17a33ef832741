/** PCR policies: what must be quoted, who meets them, and what the log says of who does not. */
import { describe, expect, test } from "vitest";
import type { PcrBank } from "../../../../src/attestors/tpm/structures/algorithms.ts";
import { type AllowedPcr, meetPolicy, selectionFor } from "../../../../src/attestors/tpm/verify/pcr-policy.ts";
import type { AgentError } from "../../../../src/lib/errors.ts";

const A = "aa".repeat(32);
const B = "bb".repeat(32);
const pcr = (index: number, ...values: string[]): AllowedPcr => ({ bank: "sha256", index, values });
const sha1 = (index: number, ...values: string[]): AllowedPcr => ({ bank: "sha1", index, values });
const values = (pcrs: Record<number, string>, bank: PcrBank = "sha256") =>
  new Map([[bank, new Map(Object.entries(pcrs).map(([index, hex]) => [Number(index), Buffer.from(hex, "hex")]))]]);

describe("what must be quoted", () => {
  test("all that any profile names, and more on request: banks from the weakest, PCRs ascending, each once", () => {
    const profiles = [
      { name: "a", pcrs: [pcr(11, A), sha1(16, "00"), pcr(7, A)] },
      { name: "b", pcrs: [pcr(7, B), sha1(3, "00")] },
    ];
    expect(selectionFor(profiles, { bank: "sha256", indices: [4, 0, 7] })).toEqual([
      { bank: "sha1", indices: [3, 16] },
      { bank: "sha256", indices: [0, 4, 7, 11] },
    ]);
  });

  test("without profiles, what is asked for besides; without that, nothing", () => {
    expect(selectionFor([], { bank: "sha384", indices: [10, 9] })).toEqual([{ bank: "sha384", indices: [9, 10] }]);
    expect(selectionFor([], { bank: "sha256", indices: [] })).toEqual([]);
  });
});

describe("who meets a policy", () => {
  const profiles = [
    { name: "a", pcrs: [pcr(7, A, B)] },
    { name: "b", pcrs: [pcr(7, A), pcr(8, A)] },
  ];

  test("everyone, where there is none", () => {
    expect(meetPolicy([], new Map())).toEqual([]);
  });

  test("who has one of the allowed values in every PCR of a profile; all such profiles are told", () => {
    expect(meetPolicy(profiles, values({ 7: A, 8: A }))).toEqual(["a", "b"]);
    expect(meetPolicy(profiles, values({ 7: A, 8: B }))).toEqual(["a"]);
    expect(meetPolicy(profiles, values({ 7: B, 8: A }))).toEqual(["a"]);
  });

  const refusal = (pcrs: Parameters<typeof meetPolicy>[1]): AgentError => {
    try {
      meetPolicy(profiles, pcrs);
    } catch (error) {
      return error as AgentError;
    }
    throw new Error("was met");
  };

  test("nobody else: the message tells for each profile where the values differ, and the peer hears nothing", () => {
    const C = "cc".repeat(32);
    expect(refusal(values({ 7: C, 8: A }))).toMatchObject({
      code: "PERMISSION_DENIED",
      publicMessage: "attestation failed",
      message: `tpm: pcr-policy: no profile is met: a differs in sha256:7 (is ${C}); b differs in sha256:7 (is ${C})`,
    });
    expect(refusal(values({ 7: C, 8: C })).message).toContain(`b differs in sha256:7 (is ${C}) and sha256:8 (is ${C})`);
  });

  test("a value that was not sent, or of another bank, is none", () => {
    for (const pcrs of [new Map(), values({ 7: A }, "sha384"), values({ 6: A })]) {
      expect(refusal(pcrs).message).toContain("a differs in sha256:7 (is nothing)");
    }
  });
});
