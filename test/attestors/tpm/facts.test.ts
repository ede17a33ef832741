/** What an attestation tells of a node, and what changed since the one before: facts, and lines of the log. */
import { describe, expect, test } from "vitest";
import type { NodeFacts } from "../../../src/attestors/node.ts";
import { drift, factsOf } from "../../../src/attestors/tpm/facts.ts";
import { type Quote, SoftAgent, type Spoil } from "../../fakes/soft-tpm/agent.ts";
import { type Line, requestOf, SoftServer } from "./server-harness.ts";

const FACTS: NodeFacts = {
  firmware_version: "2016051100162800",
  reset_count: "7",
  restart_count: "1",
  "pcr:sha256:0": "00",
  "pcr:sha256:7": "77",
};

describe("facts", () => {
  test("are short texts: firmware in 16 digits, counters in decimals, PCRs in hex", () => {
    const clockInfo = { clock: 1n, resetCount: 4_000_000_000, restartCount: 0, safe: true };
    const pcrs = new Map([["sha1" as const, new Map([[23, Buffer.from("ab", "hex")]])]]);
    expect(factsOf({ clockInfo, firmwareVersion: 0x1n, pcrs })).toEqual({
      firmware_version: "0000000000000001",
      reset_count: "4000000000",
      restart_count: "0",
      "pcr:sha1:23": "ab",
    });
  });
});

describe("drift", () => {
  const since = (change: Record<string, string>): ReturnType<typeof drift> => drift(FACTS, { ...FACTS, ...change });

  test("none at the first attestation, nor when nothing changed, nor for restarts", () => {
    expect(drift({}, FACTS)).toEqual([]);
    expect(since({})).toEqual([]);
    expect(since({ restart_count: "2" })).toEqual([]);
  });

  test("a reboot is told, more than one too", () => {
    expect(since({ reset_count: "9" })).toEqual([
      {
        level: "info",
        message: "The node was booted anew since it last attested",
        fields: { old_reset_count: "7", reset_count: "9" },
      },
    ]);
    // Numbers, not texts
    expect(since({ reset_count: "10" })[0]?.level).toBe("info");
  });

  test("counters that went back are those of a TPM that was cleared", () => {
    expect(since({ reset_count: "0" })).toEqual([
      {
        level: "warn",
        message: "The node's TPM was cleared since it last attested",
        fields: { old_reset_count: "7", reset_count: "0" },
      },
    ]);
  });

  test("other firmware is a warning, newer or older", () => {
    expect(since({ firmware_version: "2016051100162801" })).toEqual([
      {
        level: "warn",
        message: "The node's TPM has other firmware than when it last attested",
        fields: { old_firmware_version: "2016051100162800", firmware_version: "2016051100162801" },
      },
    ]);
  });

  test("PCRs that differ are named, not told", () => {
    expect(since({ "pcr:sha256:0": "01", "pcr:sha256:7": "78" })).toEqual([
      {
        level: "info",
        message: "The node's PCRs differ from when it last attested",
        fields: { pcrs: "sha256:0,sha256:7" },
      },
    ]);
  });

  test("PCRs that are quoted since, or no more, do not differ", () => {
    const { "pcr:sha256:7": _, ...fewer } = FACTS;
    expect(drift(FACTS, fewer)).toEqual([]);
    expect(drift(fewer, FACTS)).toEqual([]);
  });

  test("a node that quoted before and does not now is a warning; one that never did is none", () => {
    expect(drift(FACTS, undefined)).toEqual([
      { level: "warn", message: "The node quoted its PCRs when it attested before, and did not now", fields: {} },
    ]);
    expect(drift({}, undefined)).toEqual([]);
  });

  test("all at once, in a line each", () => {
    const lines = since({ reset_count: "8", firmware_version: "3", "pcr:sha256:0": "01" });
    expect(lines.map(({ level }) => level)).toEqual(["info", "warn", "info"]);
  });
});

describe("the server's log", () => {
  const boot = (change: Partial<Quote["attest"]>): Spoil => ({
    quote: ({ attest }) => ({ attest: { ...attest, ...change } }),
  });
  /** What it says after it was opened. */
  const toldOf = (lines: readonly Line[]): readonly Line[] =>
    lines.filter(({ level, message }) => level !== "debug" && !message.startsWith("Trusting"));
  const reboots = async (spoil: Spoil, facts?: NodeFacts) => {
    using server = new SoftServer();
    const { result, lines } = await server.run(spoil, facts === undefined ? {} : { facts });
    const { agentId } = await result;
    return { agentId, told: toldOf(lines) };
  };

  test("says nothing at the first attestation", async () => {
    expect((await reboots({})).told).toEqual([]);
  });

  test("tells drift with the agent's ID", async () => {
    const before = { reset_count: "7", firmware_version: "2016051100162800" };
    const { agentId, told } = await reboots(boot({ resetCount: 8, firmware: 1n }), before);
    expect(told).toEqual([
      {
        level: "info",
        message: "The node was booted anew since it last attested",
        fields: { agent_id: agentId, old_reset_count: "7", reset_count: "8" },
      },
      {
        level: "warn",
        message: "The node's TPM has other firmware than when it last attested",
        fields: { agent_id: agentId, old_firmware_version: "2016051100162800", firmware_version: "0000000000000001" },
      },
    ]);
  });

  test("tells of a node that quoted before and does not now", async () => {
    const { agentId, told } = await reboots({ banks: null }, { reset_count: "7" });
    const message = "The node quoted its PCRs when it attested before, and did not now";
    expect(told).toEqual([{ level: "warn", message, fields: { agent_id: agentId } }]);
  });

  test("says nothing of a node before it is let in", async () => {
    using server = new SoftServer();
    const lines: Line[] = [];
    const certificate = { san: null, eku: null, name: server.vendor.root.name };
    const agent = new SoftAgent(server.vendor, { certificate });
    const attestor = await server.attestor({ nameless: true }, lines);
    const result = await attestor.attest(requestOf(agent, { reset_count: "6" }), (asked) => agent.respond(asked));
    expect(toldOf(lines)).toEqual([]);
    result.enrolled?.();
    expect(toldOf(lines).map(({ message }) => message)).toEqual([
      "An endorsement certificate was accepted by an exception",
      "The node was booted anew since it last attested",
    ]);
  });

  test("believes counters only of a quote that holds", async () => {
    using server = new SoftServer();
    const setting = { facts: { reset_count: "7" }, profiles: [{ name: "web", pcrs: [] }] };
    const refused = await server.run({ ...boot({ resetCount: 8, magic: 1 }) }, setting);
    await expect(refused.result).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
    expect(refused.lines.filter(({ message }) => message.includes("booted"))).toEqual([]);
  });
});
