/** Row: nodes that join with a token, each over a TLS connection of its own, and over connections that are open. */
import { AgentService, AttestAgentResponse } from "../../src/gen/spire/api/server/agent/v1/agent.ts";
import { createCsr } from "../../src/pki/csr.ts";
import { generateKey } from "../../src/pki/keys.ts";
import { costOf } from "../lib/cost.ts";
import { anonymous, attestRequest } from "../lib/node-identity.ts";
import { Pair } from "../lib/pair.ts";
import { prepared } from "../lib/prepared.ts";
import { noteDurability, ratioAtLeast, type Scenario } from "../lib/scenario.ts";
import { Worker } from "../lib/worker.ts";
import type { ServerOperations } from "../server-client.ts";

const LANES = 8;

/** Join tokens, eight nodes at a time. */
export const attest: Scenario = {
  name: "attest",
  title: `join-token attestations, ${LANES} at once`,
  warm: true,
  measures: [
    { key: "rate", label: "each on a new TLS connection", unit: "/s" },
    { key: "cpu", label: "… server's CPU each", unit: "µs" },
    { key: "openRate", label: "on open connections", unit: "/s", target: ratioAtLeast(1) },
    { key: "openCpu", label: "… server's CPU each", unit: "µs" },
  ],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      noteDurability(subject, context);
      const pair = stack.use(await Pair.start(subject, context, { serverOnly: true }));
      const client = stack.use(new Worker<ServerOperations>("server-client.ts"));
      const csr = await createCsr({ privateKey: await generateKey("ec-p256") });
      const count = context.quick ? 40 : 500;
      const join = async (operation: "visits" | "calls"): Promise<{ rate: number; each: number }> => {
        const requests = (await pair.admin.createTokens(count)).map((token) => attestRequest(token, csr));
        const order = { to: anonymous(pair), path: AgentService.attestAgent.path, requests, count, lanes: LANES };
        const { result, cpu } = await costOf(pair.pidOf(pair.server), () => client.call(operation, order));
        const { step } = AttestAgentResponse.decode(Buffer.from(result.last, "base64"));
        if (step?.$case !== "result") throw new Error("a node was not let in");
        return { rate: (count * 1e6) / result.micros, each: cpu / count };
      };
      return async () => {
        const fresh = await join("visits");
        const open = await join("calls");
        return { rate: fresh.rate, cpu: fresh.each, openRate: open.rate, openCpu: open.each };
      };
    }),
};
