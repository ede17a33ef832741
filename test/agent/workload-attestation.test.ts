import { describe, expect, test } from "vitest";
import { WorkloadAttestation } from "../../src/agent/workload-attestation.ts";
import type { WorkloadAttestor } from "../../src/attestors/workload.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { AgentError } from "../../src/lib/errors.ts";
import { toGrpcStatus } from "../../src/lib/grpc-status.ts";
import { selectorText } from "../../src/spiffe/selector.ts";
import { FakePeer } from "../attestors/unix/fake-peer.ts";
import { LogLines } from "../workload-api/harness.ts";

const good = (name: string, ...values: string[]): WorkloadAttestor => ({
  name,
  attest: async () => values.map((value) => ({ type: name, value })),
});
const bad = (name: string): WorkloadAttestor => ({
  name,
  attest: () => Promise.reject(new AgentError("UNAVAILABLE", `${name} does not answer`)),
});
const throwing: WorkloadAttestor = {
  name: "throwing",
  attest() {
    throw new TypeError("a bug");
  },
};

async function attest(
  attestors: readonly WorkloadAttestor[],
  peer = new FakePeer("/bin/true"),
  signal = new AbortController().signal,
) {
  const log = new LogLines();
  const attestation = new WorkloadAttestation({ attestors, log, clock: systemClock });
  const outcome = await attestation.attest(peer, signal).then(
    (selectors) => selectors.map(selectorText),
    (error: unknown) => {
      const { code, message } = toGrpcStatus(error);
      return `${code} ${message}`;
    },
  );
  return { outcome, lines: log.lines };
}

describe("workload attestation", () => {
  test("merges the selectors of all attestors, sorted, none twice", async () => {
    const { outcome, lines } = await attest([
      good("unix", "uid:2", "uid:1"),
      good("k8s", "ns:x"),
      good("unix", "uid:1"),
    ]);
    expect(outcome).toEqual(["k8s:ns:x", "unix:uid:1", "unix:uid:2"]);
    expect(lines).toEqual([]);
  });

  test("attestors run at the same time", async () => {
    const gate = Promise.withResolvers<void>();
    const waits: WorkloadAttestor = { name: "waits", attest: () => gate.promise.then(() => []) };
    const opens: WorkloadAttestor = {
      name: "opens",
      async attest() {
        gate.resolve();
        return [];
      },
    };
    expect((await attest([waits, opens])).outcome).toEqual([]);
  });

  test("one that fails is left out and logged, without selectors", async () => {
    const { outcome, lines } = await attest([throwing, good("unix", "uid:1"), bad("k8s")]);
    expect(outcome).toEqual(["unix:uid:1"]);
    expect(lines.map(({ message, fields }) => [message, fields.plugin_name, fields.error])).toEqual([
      ["Workload attestor failed", "throwing", "a bug"],
      ["Workload attestor failed", "k8s", "k8s does not answer"],
    ]);
    expect(JSON.stringify(lines)).not.toContain("uid:1");
  });

  test("when all fail the call is UNAVAILABLE", async () => {
    expect((await attest([bad("k8s"), throwing])).outcome).toBe("14 workload attestation failed");
  });

  test("without any attestor there is no selector", async () => {
    expect((await attest([])).outcome).toEqual([]);
  });

  test("a caller that is gone or another afterwards is UNAVAILABLE, whatever was found out", async () => {
    const peer = new FakePeer("/bin/true");
    const kills: WorkloadAttestor = {
      name: "kills",
      attest: async () => {
        peer.alive = false;
        return [{ type: "unix", value: "uid:0" }];
      },
    };
    expect((await attest([kills], peer)).outcome).toBe("14 workload attestation failed");
    const changed = new FakePeer("/bin/true");
    changed.unchanged = false;
    expect((await attest([good("unix", "uid:0")], changed)).outcome).toBe("14 workload attestation failed");
  });

  test("an aborted one is CANCELLED and says nothing in the log", async () => {
    const controller = new AbortController();
    const aborts: WorkloadAttestor = {
      name: "aborts",
      attest: (_peer, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason));
          controller.abort(new Error("caller has gone"));
        }),
    };
    const { outcome, lines } = await attest([aborts], undefined, controller.signal);
    expect(outcome).toBe("1 cancelled");
    expect(lines).toEqual([]);
  });
});
