/** The server's half on proofs that are true but for one thing: the check that should, and no other, says so. */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import type { AttestResult } from "../../../src/attestors/node.ts";
import type { TpmCheck } from "../../../src/attestors/tpm/verify/checks.ts";
import { errorText } from "../../../src/lib/errors.ts";
import { type Json, SoftAgent, type Spoil } from "../../fakes/soft-tpm/agent.ts";
import { type AkKind, akName, softAk, softEk } from "../../fakes/soft-tpm/tpm.ts";
import { tcgName } from "../../fakes/soft-tpm/vendor.ts";
import { ecKey as caKey } from "../../pki/make.ts";
import { REFUSED_AK_KEYS, REFUSED_CREATIONS } from "./refused-aks.ts";
import { REFUSED_CHAINS, REFUSED_KEYS, REFUSED_PROFILES } from "./refused-eks.ts";
import { REFUSED_PAYLOADS, REFUSED_SECRETS } from "./refused-messages.ts";
import { REFUSED_POLICIES, REFUSED_QUOTE_MESSAGES, REFUSED_QUOTES } from "./refused-quotes.ts";
import { requestOf, SoftServer } from "./server-harness.ts";
import { expectRefusal, type Vectors } from "./vector.ts";

const TABLES: Readonly<Record<string, Vectors>> = {
  payload: REFUSED_PAYLOADS,
  "endorsement key": REFUSED_KEYS,
  "chain of an endorsement key": REFUSED_CHAINS,
  "profile of an endorsement certificate": REFUSED_PROFILES,
  "attestation key": REFUSED_AK_KEYS,
  "statement about the creation of an attestation key": REFUSED_CREATIONS,
  "answer to a credential": REFUSED_SECRETS,
  quote: REFUSED_QUOTES,
  "answer to a quote challenge": REFUSED_QUOTE_MESSAGES,
  policy: REFUSED_POLICIES,
};

const server = new SoftServer();
const refused = { vectors: 0, cuts: 0 };
const seen = new Set<TpmCheck>();

afterAll(() => {
  server[Symbol.dispose]();
  console.log(
    `tpm: ${refused.vectors} failing vectors refused, each by the check it names; ${refused.cuts} truncations besides`,
  );
});

async function refuse(result: Promise<unknown>, check: TpmCheck): Promise<void> {
  await expectRefusal(result, check);
  refused.vectors++;
  seen.add(check);
}

describe.each(Object.entries(TABLES))("%s", (_table, vectors) => {
  test.each(Object.entries(vectors))("%s", async (_name, make) => {
    const [check, spoil, setting] = make(server);
    const { result } = await server.run(spoil, setting);
    await refuse(result, check);
  });
});

describe("cut short at every byte", () => {
  const PARAMS = ["Public", "CreateData", "CreateAttestation", "CreateSignature"] as const;
  const ANSWERS = ["Quoted", "Signature"] as const;
  const KINDS = ["ec-p256", "rsa-2048"] as const;
  /** A server that always asks the same, so that what was right once stays so. */
  const constant = { bytes: (size: number) => new Uint8Array(size).fill(5), unit: () => 0 };
  const cutTo = (base64: string, length: number): string =>
    Buffer.from(base64, "base64").subarray(0, length).toString("base64");
  const parse = (bytes: Uint8Array): Json => JSON.parse(Buffer.from(bytes).toString());

  /** Cuts one member of a recorded ceremony, and has it judged. */
  async function recorded(ak: AkKind) {
    const agent = new SoftAgent(server.vendor, { ak });
    const attestor = await server.attestor({}, [], { random: constant });
    const run = async (payload: Json, respond: (challenge: Uint8Array) => Promise<Uint8Array>) =>
      attestor.attest({ ...requestOf(agent), payload: Buffer.from(JSON.stringify(payload)) }, respond);
    const [payload, answers]: [Json, Json[]] = [parse(agent.payload), []];
    await run(payload, async (challenge) => {
      const answer = await agent.respond(challenge);
      answers.push(parse(answer));
      return answer;
    });
    return {
      payload,
      quote: answers[1].Quote,
      judge: async (cut: Json, quote: Json): Promise<unknown> => {
        const left = [answers[0], { Quote: quote }];
        return await run(cut, async () => Buffer.from(JSON.stringify(left.shift())));
      },
    };
  }

  test.each(KINDS.flatMap((ak) => PARAMS.map((member) => ({ ak, member }))))(
    "$member of an $ak key",
    async ({ ak, member }) => {
      const { payload, quote, judge } = await recorded(ak);
      await judge(payload, quote);
      const whole: string = payload.AK[member];
      const { length } = Buffer.from(whole, "base64");
      for (let to = 0; to < length; to++, refused.cuts++) {
        const cut = { ...payload, AK: { ...payload.AK, [member]: cutTo(whole, to) } };
        await expectRefusal(judge(cut, quote), "ak-encoding");
      }
      expect(length).toBeGreaterThan(64);
    },
  );

  test.each(KINDS.flatMap((ak) => ANSWERS.map((member) => ({ ak, member }))))(
    "$member by an $ak key",
    async ({ ak, member }) => {
      const { payload, quote, judge } = await recorded(ak);
      const whole: string = quote[member];
      const { length } = Buffer.from(whole, "base64");
      for (let to = 0; to < length; to++, refused.cuts++) {
        await expectRefusal(judge(payload, { ...quote, [member]: cutTo(whole, to) }), "quote-encoding");
      }
      expect(length).toBeGreaterThan(64);
    },
  );
});

/** A ceremony that stands still at its challenge until it is told the answer. */
async function paused(spoil: Spoil) {
  const agent = new SoftAgent(server.vendor, spoil);
  const attestor = await server.attestor();
  const challenges: { readonly challenge: Uint8Array; readonly answer: (bytes: Uint8Array) => void }[] = [];
  let arrived = Promise.withResolvers<void>();
  const result = attestor.attest(requestOf(agent), (challenge) => {
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    challenges.push({ challenge, answer: resolve });
    arrived.resolve();
    return promise;
  });
  result.catch(() => {});
  return {
    agent,
    result,
    /** The challenge that comes next, answered rightly; sent only by `answer`. */
    async next(): Promise<{ readonly right: Uint8Array; readonly answer: (bytes: Uint8Array) => void }> {
      await arrived.promise;
      arrived = Promise.withResolvers();
      const last = challenges.at(-1);
      if (last === undefined) throw new Error("nothing was asked");
      return { right: await agent.respond(last.challenge), answer: last.answer };
    },
  };
}

type Paused = Awaited<ReturnType<typeof paused>>;

describe("two ceremonies of one TPM at the same moment", () => {
  const ek = softEk("ec-p256");
  const shared = softAk("ec-p256");
  /** With an attestation key each, as agents do; and with one, as nobody should. */
  const PAIRS: Readonly<Record<string, () => [Paused, Paused] | Promise<[Paused, Paused]>>> = {
    "a key each": () => Promise.all([paused({ ek }), paused({ ek })]),
    "one key": () => Promise.all([paused({ ek, ak: shared }), paused({ ek, ak: shared })]),
  };
  const ORDERS = { "in order": false, "the other way round": true } as const;
  const cases = Object.keys(PAIRS).flatMap((pair) => Object.keys(ORDERS).map((order) => ({ pair, order })));
  const begin = async (pair: string, order: string): Promise<[Paused, Paused]> => {
    const make = PAIRS[pair];
    if (make === undefined) throw new Error("no such pair");
    const [a, b] = await make();
    return order === "in order" ? [a, b] : [b, a];
  };

  test("that answer each their own are both admitted", async () => {
    const both = await begin("a key each", "in order");
    for (let step = 0; step < 2; step++) {
      const asked = await Promise.all(both.map((ceremony) => ceremony.next()));
      for (const { right, answer } of asked) answer(right);
    }
    const results: readonly AttestResult[] = await Promise.all(both.map(({ result }) => result));
    expect(results[0]?.agentId).toBe(results[1]?.agentId);
  });

  test.each(cases)("that exchange their secrets, with $pair, $order", async ({ pair, order }) => {
    const [a, b] = await begin(pair, order);
    const [toA, toB] = [await a.next(), await b.next()];
    toA.answer(toB.right);
    await refuse(a.result, "credential");
    toB.answer(toA.right);
    await refuse(b.result, "credential");
  });

  test.each(cases)("that exchange their quotes, with $pair, $order", async ({ pair, order }) => {
    const [a, b] = await begin(pair, order);
    for (const ceremony of [a, b]) {
      const { right, answer } = await ceremony.next();
      answer(right);
    }
    const [toA, toB] = [await a.next(), await b.next()];
    toA.answer(toB.right);
    await refuse(a.result, "quote-nonce");
    toB.answer(toA.right);
    await refuse(b.result, "quote-nonce");
  });

  test("an answer that was right once is not right again", async () => {
    const first = await paused({ ek, ak: shared });
    const secret = await first.next();
    secret.answer(secret.right);
    const quote = await first.next();
    quote.answer(quote.right);
    await first.result;
    const second = await paused({ ek, ak: shared });
    (await second.next()).answer(secret.right);
    await refuse(second.result, "credential");
    const third = await paused({ ek, ak: shared });
    const again = await third.next();
    again.answer(again.right);
    (await third.next()).answer(quote.right);
    await refuse(third.result, "quote-nonce");
  });
});

test.each(["ec-p256", "rsa-2048"] as const)(
  "a relay that has a TPM quote for its own key, %s",
  async (kind: AkKind) => {
    // What it asks of the TPM is bound to its own CSR by the agent, and the server to the one that it was sent.
    const relayed = softAk(kind);
    const honest = new SoftAgent(server.vendor, { ak: relayed });
    const { result } = await server.run({ ek: honest.ek, ak: relayed, csr: honest.csr.spki });
    expect(akName(relayed)).toHaveLength(34);
    await refuse(result, "quote-nonce");
  },
);

describe("what a stranger writes does not fill the log", () => {
  const LONG = "x".repeat(50_000);
  const READERS: Vectors = {
    // As long as fits into a message
    "an issuer of 16 KB": () => [
      "ek-certificate-chain",
      { publicKey: null, certificate: { issuer: { name: tcgName({ model: LONG.slice(0, 16_000) }), key: caKey() } } },
    ],
    "a PEM label of 8 KB": () => [
      "payload",
      {
        payload: (json) => {
          const label = LONG.slice(0, 8_000).toUpperCase();
          return { ...json, EK: btoa(`-----BEGIN ${label}-----\nAAAA\n-----END ${label}-----\n`) };
        },
      },
    ],
    "a PCR's name of 50 KB": () => [
      "challenge-response",
      { answerJson: ({ Quote }) => ({ Quote: { ...Quote, PCRs: { sha256: { [LONG]: "00" } } } }) },
    ],
    "a bank's name of 50 KB": () => [
      "challenge-response",
      { answerJson: ({ Quote }) => ({ Quote: { ...Quote, PCRs: { [LONG]: {} } } }) },
    ],
  };

  test.each(Object.entries(READERS))("%s", async (_name, make) => {
    const [check, spoil] = make(server);
    const error = await expectRefusal((await server.run(spoil)).result, check);
    expect(error.message).toMatch(/x{100}/i);
    expect(error.message.length).toBeLessThanOrEqual(700);
  });

  test.each(Object.entries(READERS))("%s, nor does what is underneath", async (_name, make) => {
    const [check, spoil] = make(server);
    const error = await expectRefusal((await server.run(spoil)).result, check);
    // As the guard of methods logs it: with the messages of all causes
    expect(errorText(error).length).toBeLessThanOrEqual(700);
  });
});

test("every check has a vector", () => {
  const source = readFileSync(new URL("../../../src/attestors/tpm/verify/checks.ts", import.meta.url), "utf8");
  const union = /export type TpmCheck =\n((?: {2}\| "[a-z-]+";?\n)+)/.exec(source)?.[1] ?? "";
  const checks = [...union.matchAll(/"([a-z-]+)"/g)].map((match) => match[1]);
  expect(checks.length).toBeGreaterThan(25);
  expect(seen).toEqual(new Set(checks));
});
