/** Quotes that must not be believed, and PCRs that no policy allows. */
import { createHash, randomBytes } from "node:crypto";
import type { TpmCheck } from "../../../src/attestors/tpm/verify/checks.ts";
import type { PcrProfile } from "../../../src/attestors/tpm/verify/pcr-policy.ts";
import {
  type Answer,
  type Json,
  pcrValue,
  type Quote,
  type Spoil,
  without,
  zeroes,
} from "../../fakes/soft-tpm/agent.ts";
import {
  cat,
  ECDSA,
  HASH_ID,
  NONE,
  NULL_ALG,
  selection,
  TYPE_CREATION,
  tpm2b,
  u16,
  u32,
} from "../../fakes/soft-tpm/structures.ts";
import { akName, ecKey, rsaFromPool, scheme, softAk } from "../../fakes/soft-tpm/tpm.ts";
import { flipped, longer, type Vector, type Vectors } from "./vector.ts";

const quote =
  (check: TpmCheck, change: (made: Quote) => Partial<Quote>, more: Spoil = {}): (() => Vector) =>
  () => [check, { ...more, quote: change }];
/** Changes members of the statement itself. */
const attest = (check: TpmCheck, change: (made: Quote["attest"]) => Partial<Quote["attest"]>) =>
  quote(check, (made) => ({ attest: { ...made.attest, ...change(made.attest) } }));
const answer = (check: TpmCheck, change: (sent: Answer) => Partial<Answer>) => (): Vector => [
  check,
  { answer: change },
];
/** Changes the values that are sent of the SHA-256 bank. */
const values = (check: TpmCheck, change: (pcrs: Record<string, string>) => Record<string, string | undefined>) =>
  answer(check, ({ pcrs }) => ({ pcrs: { sha256: change({ ...pcrs.sha256 }) as Record<string, string> } }));
const json = (change: (json: Json) => Json) => (): Vector => ["challenge-response", { answerJson: change }];

const SHA256 = HASH_ID.sha256;
/** The digest over PCRs of the SHA-256 bank. */
const over = (...indices: number[]): Uint8Array =>
  createHash("sha256")
    .update(Buffer.from(indices.map((index) => pcrValue("sha256", index)).join(""), "hex"))
    .digest();
/** A true quote of other PCRs than were asked for. */
const selected = (indices: readonly number[], bank: number = SHA256, size = 3) =>
  quote("quote-selection", () => ({ selection: selection([{ bank, indices }], size), pcrDigest: over(...indices) }));

export const REFUSED_QUOTES: Vectors = {
  "a nonce of another time": attest("quote-nonce", () => ({ extraData: randomBytes(32) })),
  "for another CSR": () => ["quote-nonce", { csr: ecKey("prime256v1").spki }],
  "for no CSR": () => ["quote-nonce", { csr: NONE }],
  "no nonce": attest("quote-nonce", () => ({ extraData: NONE })),
  "a nonce altered": attest("quote-nonce", ({ extraData }) => ({ extraData: flipped(extraData) })),
  "a nonce cut short": attest("quote-nonce", ({ extraData }) => ({ extraData: extraData.subarray(0, 20) })),
  "a nonce with a byte too many": attest("quote-nonce", ({ extraData }) => ({ extraData: longer(extraData) })),
  "magic altered": attest("quote-magic", () => ({ magic: 0xff544348 })),
  "magic zero": attest("quote-magic", () => ({ magic: 0 })),
  "a creation sent as a quote": quote("quote-type", (made) => ({
    attest: {
      ...made.attest,
      type: TYPE_CREATION,
      attested: cat(tpm2b(akName(softAk("ec-p256"))), tpm2b(Buffer.alloc(32))),
    },
  })),
  "a certification sent as a quote": attest("quote-type", () => ({ type: 0x8017 })),
  "a statement about NV sent as a quote": attest("quote-type", () => ({ type: 0x8014 })),
  "signed by another key": quote("quote-signature", () => ({ signer: ecKey("prime256v1").privateKey })),
  "signed by another RSA key": quote("quote-signature", () => ({ signer: rsaFromPool("another").privateKey }), {
    ak: "rsa-2048",
  }),
  "signed by a key of another kind": quote("quote-signature-hash", () => ({
    signer: rsaFromPool("another").privateKey,
  })),
  "signed with SHA-1": quote("quote-signature-hash", () => ({ hash: "sha1" })),
  "signed with SHA-384": quote("quote-signature-hash", () => ({ hash: "sha384" })),
  "a signature altered": answer("quote-signature", ({ signature }) => ({ signature: flipped(signature) })),
  "a signature of zeros": answer("quote-signature", () => ({
    signature: cat(scheme(ECDSA, "sha256"), tpm2b(Buffer.alloc(32)), tpm2b(Buffer.alloc(32))),
  })),
  "a reset count altered": answer("quote-signature", ({ quoted }) => ({
    // After magic, type, signer and nonce stand eight bytes of the clock.
    quoted: flipped(quoted, 6 + 36 + 34 + 8 + 3),
  })),
  "firmware altered": answer("quote-signature", ({ quoted }) => ({ quoted: flipped(quoted, 6 + 36 + 34 + 17) })),
  "a digest altered after it was signed": answer("quote-signature", ({ quoted }) => ({ quoted: flipped(quoted) })),
  "over fewer PCRs": selected([7]),
  "over more PCRs": selected([0, 4, 7]),
  "over a PCR that the policy does not name": selected([0, 8]),
  "over no PCRs": selected([]),
  "over all PCRs": selected(Array.from({ length: 24 }, (_, index) => index)),
  "over another bank": selected([0, 7], HASH_ID.sha384),
  "over the SHA-1 bank": selected([0, 7], HASH_ID.sha1),
  "over the bank twice": quote("quote-selection", () => ({
    selection: selection([
      { bank: SHA256, indices: [0] },
      { bank: SHA256, indices: [7] },
    ]),
  })),
  "over another bank besides": quote("quote-selection", () => ({
    selection: selection([
      { bank: SHA256, indices: [0, 7] },
      { bank: HASH_ID.sha1, indices: [0] },
    ]),
  })),
  "over no bank": quote("quote-selection", () => ({ selection: u32(0) })),
  "over a PCR beyond the last besides": quote("quote-selection", () => ({
    selection: selection([{ bank: SHA256, indices: [0, 7, 24] }], 4),
  })),
  "over a bank that is not accepted": quote("quote-encoding", () => ({
    selection: selection([{ bank: HASH_ID.sha512, indices: [0, 7] }]),
  })),
  "over too many banks": quote("quote-encoding", () => ({
    selection: selection(Array.from({ length: 17 }, () => ({ bank: SHA256, indices: [0] }))),
  })),
  "a bitmap of five bytes": quote("quote-encoding", () => ({
    selection: selection([{ bank: SHA256, indices: [0, 7] }], 5),
  })),
  "a clock that is neither safe nor unsafe": attest("quote-encoding", () => ({ safe: 2 })),
  "a quote with a byte too many": answer("quote-encoding", ({ quoted }) => ({ quoted: longer(quoted) })),
  "a quote signed with a byte too many": quote("quote-encoding", (made) => ({
    attest: { ...made.attest, attested: longer(cat(made.selection, tpm2b(made.pcrDigest))) },
  })),
  "a signature with a byte too many": answer("quote-encoding", ({ signature }) => ({ signature: longer(signature) })),
  "no signature": answer("quote-encoding", () => ({ signature: NULL_ALG })),
  "a signature of RSA-PSS": answer("quote-encoding", ({ signature }) => ({
    signature: cat(u16(0x0016), signature.subarray(2)),
  })),
  "no quote": answer("quote-encoding", () => ({ quoted: NONE })),
  "a wrong PCR value": values("quote-pcr-digest", (pcrs) => ({ ...pcrs, 7: pcrValue("sha256", 8) })),
  "PCR values exchanged": values("quote-pcr-digest", ({ 0: zero, 7: seven }) => ({ 0: seven, 7: zero })),
  "PCR values of zeros": values("quote-pcr-digest", () => ({ 0: zeroes("sha256"), 7: zeroes("sha256") })),
  "a PCR digest altered": quote("quote-pcr-digest", ({ pcrDigest }) => ({ pcrDigest: flipped(pcrDigest) })),
  "no PCR digest": quote("quote-pcr-digest", () => ({ pcrDigest: NONE })),
  "a PCR digest by the wrong hash": quote("quote-pcr-digest", () => ({
    pcrDigest: createHash("sha1").update(pcrValue("sha256", 0)).digest(),
  })),
  "a PCR missing": values("quote-pcrs", ({ 0: zero }) => ({ 0: zero })),
  "a PCR too many": values("quote-pcrs", (pcrs) => ({ ...pcrs, 4: pcrValue("sha256", 4) })),
  "a PCR instead of another": values("quote-pcrs", ({ 0: zero, 7: seven }) => ({ 0: zero, 4: seven })),
  "a bank that was not asked for": answer("quote-pcrs", ({ pcrs }) => ({
    pcrs: { ...pcrs, sha1: { 0: zeroes("sha1") } },
  })),
  "an empty bank that was not asked for": answer("quote-pcrs", ({ pcrs }) => ({ pcrs: { ...pcrs, sha384: {} } })),
  "another bank instead": answer("quote-pcrs", ({ pcrs }) => ({ pcrs: { sha1: { ...pcrs.sha256 } } })),
  "no bank": answer("quote-pcrs", () => ({ pcrs: {} })),
  "an empty bank": values("quote-pcrs", () => ({})),
  "a value of another length": values("quote-pcrs", (pcrs) => ({ ...pcrs, 7: zeroes("sha1") })),
};

export const REFUSED_QUOTE_MESSAGES: Vectors = {
  null: json(() => null),
  "an empty object": json(() => ({})),
  "Quote null": json(() => ({ Quote: null })),
  "a secret in place of a quote": json(() => ({ Secret: "AA==" })),
  "no Quoted": json(({ Quote }) => ({ Quote: without(Quote, "Quoted") })),
  "no Signature": json(({ Quote }) => ({ Quote: without(Quote, "Signature") })),
  "no PCRs": json(({ Quote }) => ({ Quote: without(Quote, "PCRs") })),
  "PCRs null": json(({ Quote }) => ({ Quote: { ...Quote, PCRs: null } })),
  "PCRs an array": json(({ Quote }) => ({ Quote: { ...Quote, PCRs: [] } })),
  "an unknown bank": json(({ Quote }) => ({ Quote: { ...Quote, PCRs: { ...Quote.PCRs, sha512: {} } } })),
  "PCR 24": json(({ Quote }) => ({ Quote: { ...Quote, PCRs: { sha256: { 24: zeroes("sha256") } } } })),
  "PCR 07": json(({ Quote }) => ({ Quote: { ...Quote, PCRs: { sha256: { "07": zeroes("sha256") } } } })),
  "PCR -1": json(({ Quote }) => ({ Quote: { ...Quote, PCRs: { sha256: { "-1": zeroes("sha256") } } } })),
  "a value in capitals": json(({ Quote }) => ({ Quote: { ...Quote, PCRs: { sha256: { 7: "AB".repeat(32) } } } })),
  "a value that is no hex": json(({ Quote }) => ({ Quote: { ...Quote, PCRs: { sha256: { 7: "zz".repeat(32) } } } })),
  "a value that is a number": json(({ Quote }) => ({ Quote: { ...Quote, PCRs: { sha256: { 7: 7 } } } })),
  "more than 64 KiB": json((all) => ({ ...all, More: "x".repeat(65_536) })),
};

const allow = (index: number, ...allowed: string[]): PcrProfile["pcrs"][number] => ({
  bank: "sha256",
  index,
  values: allowed,
});
const met = allow(7, pcrValue("sha256", 7));
const other = allow(0, zeroes("sha256"), "11".repeat(32));
const sha384: PcrProfile["pcrs"][number] = { bank: "sha384", index: 7, values: [pcrValue("sha384", 7)] };
const policy = (...pcrs: PcrProfile["pcrs"]) => ({ profiles: [{ name: "web", pcrs }] });

export const REFUSED_POLICIES: Vectors = {
  "a PCR with another value": () => ["pcr-policy", {}, policy(other)],
  "one PCR of two with another value": () => ["pcr-policy", {}, policy(met, other)],
  "values of one profile in part, and of another in part": () => [
    "pcr-policy",
    {},
    {
      profiles: [
        { name: "a", pcrs: [met, other] },
        { name: "b", pcrs: [allow(0, pcrValue("sha256", 0)), allow(7, zeroes("sha256"))] },
      ],
    },
  ],
  "the value of another PCR": () => ["pcr-policy", {}, policy(allow(7, pcrValue("sha256", 0)))],
  "no quote is offered, though a policy stands": () => ["quote-offered", { banks: null }, policy(met)],
  "Go's null for a quote, though a policy stands": () => [
    "quote-offered",
    { payload: (all) => ({ ...all, Quote: null }) },
    policy(met),
  ],
  "no quote is offered, though one is required": () => ["quote-offered", { banks: null }, { requireQuote: true }],
  "the bank is not offered": () => ["quote-bank", { banks: ["sha1", "sha384"] }, policy(met)],
  "no bank is offered": () => ["quote-bank", { banks: [] }],
  "banks that nobody knows": () => ["quote-bank", { banks: ["sm3_256", "SHA256"] }],
  "one bank of the policy is not offered": () => ["quote-bank", {}, policy(met, sha384)],
  "a policy of SHA-384, answered for SHA-256": () => [
    "quote-selection",
    {
      banks: ["sha256", "sha384"],
      quote: () => ({ selection: selection([{ bank: SHA256, indices: [0, 7] }]) }),
    },
    policy(sha384),
  ],
};
