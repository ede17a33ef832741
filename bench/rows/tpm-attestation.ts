/** Rows: nodes that prove themselves by their TPM: by one of software that costs the client little, and by swtpm. */
import { costOf } from "../lib/cost.ts";
import { anonymous } from "../lib/node-identity.ts";
import { prepared } from "../lib/prepared.ts";
import { type Measure, noteDurability, type Scenario, type Values } from "../lib/scenario.ts";
import type { EkKind } from "../lib/soft-node.ts";
import { attestorOf, hasSwtpm, startSwtpm, startTpmPair, writeRoots } from "../lib/tpm-pair.ts";
import { Worker } from "../lib/worker.ts";
import type { TpmAgentOperations } from "../tpm-agent.ts";
import type { TpmClientOperations } from "../tpm-client.ts";

const LANES = 8;
/** Nodes of each kind: they attest again and again, as nodes do. RSA keys take long to make. */
const NODES = 16;

/** One way to attest. */
interface Way {
  readonly key: string;
  readonly label: string;
  readonly ek: EkKind;
  readonly quote: boolean;
  readonly fresh: boolean;
}

const WAYS: readonly Way[] = [
  { key: "ecFresh", label: "EK P-256, quote, new TLS connection each", ek: "ec-p256", quote: true, fresh: true },
  { key: "ecQuote", label: "EK P-256, quote, open connections", ek: "ec-p256", quote: true, fresh: false },
  { key: "rsaQuote", label: "EK RSA-2048, quote, open connections", ek: "rsa-2048", quote: true, fresh: false },
  { key: "ecPlain", label: "EK P-256, plugin's one exchange, open", ek: "ec-p256", quote: false, fresh: false },
  { key: "rsaPlain", label: "EK RSA-2048, plugin's one exchange, open", ek: "rsa-2048", quote: false, fresh: false },
];

/** Proofs of software TPMs, eight nodes at a time. */
export const tpmAttest: Scenario = {
  name: "tpm-attest",
  title: `TPM attestations, ${LANES} at once, payloads made beforehand, AK P-256`,
  warm: true,
  measures: WAYS.flatMap(({ key, label }) => rateAndCpu(key, label)),
  async prepare(subject, context) {
    const attestor = attestorOf(subject, context);
    if (attestor === undefined) return undefined;
    return prepared(async (stack) => {
      noteDurability(subject, context);
      const client = stack.use(new Worker<TpmClientOperations>("tpm-client.ts"));
      const vendor = await client.call("make", {
        kinds: ["ec-p256", "rsa-2048"],
        count: context.quick ? LANES : NODES,
      });
      const pair = stack.use(await startTpmPair(subject, context, { attestor, roots: writeRoots(context, vendor) }));
      const to = anonymous(pair);
      const count = context.quick ? 40 : 500;
      return async () => {
        const values: Record<string, number> = {};
        for (const { key, ek, quote, fresh } of WAYS) {
          // The plugin knows of no second exchange.
          if (quote && subject.name === "spire") continue;
          const order = { to, ek, quote, fresh, count, lanes: LANES };
          const { result, cpu } = await costOf(pair.pidOf(pair.server), () => client.call("attest", order));
          Object.assign(values, rateAndCpuOf(key, count, result.micros, cpu));
        }
        return values;
      };
    });
  },
};

/** swtpm's endorsement keys that are measured, the first by our agent's preference. */
const EKS = [
  { key: "rsa", label: "EK RSA-2048", ek: "rsa-2048" },
  { key: "ec", label: "EK P-256", ek: "ec-p256" },
] as const;

/** Our agent's half and one TPM, which both take longer than the server. */
export const tpmSwtpm: Scenario = {
  name: "tpm-swtpm",
  title: "TPM attestations by one swtpm, one after the other",
  warm: true,
  measures: EKS.flatMap(({ key, label }) => [
    ...rateAndCpu(key, label),
    { key: `${key}-wall`, label: "… on the agent's side, median", unit: "ms" },
  ]),
  async prepare(subject, context) {
    if (!hasSwtpm(subject, context)) return undefined;
    return prepared(async (stack) => {
      const tpm = stack.use(await startSwtpm(context, ["rsa", "p256"]));
      const pair = stack.use(await startTpmPair(subject, context, { attestor: "", roots: tpm.roots }));
      const agent = stack.use(new Worker<TpmAgentOperations>("tpm-agent.ts"));
      const to = anonymous(pair);
      const count = context.quick ? 2 : 20;
      return async () => {
        const values: Record<string, number> = {};
        for (const { key, ek } of EKS) {
          const order = { to, tcti: tpm.tcti, ek, count };
          const { result, cpu } = await costOf(pair.pidOf(pair.server), () => agent.call("attest", order));
          Object.assign(values, rateAndCpuOf(key, count, result.micros, cpu), { [`${key}-wall`]: result.p50 / 1e3 });
        }
        return values;
      };
    });
  },
};

function rateAndCpu(key: string, label: string): readonly Measure[] {
  return [
    { key: `${key}-rate`, label, unit: "/s" },
    { key: `${key}-cpu`, label: "… server's CPU each", unit: "ms" },
  ];
}

function rateAndCpuOf(key: string, count: number, micros: number, cpu: number): Values {
  return { [`${key}-rate`]: (count * 1e6) / micros, [`${key}-cpu`]: cpu / count / 1e3 };
}
