/** Row: what the server's checks of a TPM's proof cost, each by itself. */
import { prepared } from "../lib/prepared.ts";
import { atMost, type Scenario } from "../lib/scenario.ts";
import { isOursAlone } from "../lib/tpm-pair.ts";
import { Worker } from "../lib/worker.ts";
import type { TpmVerifyOperations } from "../tpm-verify.ts";

const AKS = [
  { key: "ec", name: "AK P-256", ak: "ec-p256" },
  { key: "rsa", name: "AK RSA-2048", ak: "rsa-2048" },
] as const;
const EKS = [
  { key: "ek-rsa", name: "EK RSA-2048", ek: "rsa-2048" },
  { key: "ek-p256", name: "EK P-256", ek: "ec-p256" },
  { key: "ek-p384", name: "EK P-384", ek: "ec-p384" },
] as const;

/** Processor time of the functions that judge, called in a fresh process each round. */
export const quoteVerify: Scenario = {
  name: "quote-verify",
  title: "CPU of one check of a TPM's proof; quotes over 24 PCRs",
  measures: [
    ...AKS.flatMap(({ key, name }) => [
      { key: `${key}-quote`, label: `a quote, ${name}`, unit: "ms", target: atMost(1) },
      { key: `${key}-first`, label: "… the first of a process", unit: "ms" },
    ]),
    ...AKS.map(({ key, name }) => ({ key: `${key}-ak`, label: `an attestation key's creation, ${name}`, unit: "ms" })),
    ...EKS.flatMap(({ key, name }) => [
      { key: `${key}-certificate`, label: `a certificate read and judged, ${name}`, unit: "ms" },
      { key: `${key}-credential`, label: "… a credential made", unit: "ms" },
    ]),
  ],
  async prepare(subject, context) {
    if (!isOursAlone(subject, context)) return undefined;
    const times = context.quick ? 20 : 1_000;
    return prepared(async () => async () => {
      const values: Record<string, number> = {};
      for (const { key, ak } of AKS) {
        await using checker = new Worker<TpmVerifyOperations>("tpm-verify.ts");
        const cost = await checker.call("quote", { ak, times });
        values[`${key}-quote`] = cost.quote / 1e3;
        values[`${key}-first`] = cost.first / 1e3;
        values[`${key}-ak`] = cost.ak / 1e3;
      }
      await using checker = new Worker<TpmVerifyOperations>("tpm-verify.ts");
      for (const { key, ek } of EKS) {
        const cost = await checker.call("endorsement", { ek, times });
        values[`${key}-certificate`] = cost.certificate / 1e3;
        values[`${key}-credential`] = cost.credential / 1e3;
      }
      return values;
    });
  },
};
