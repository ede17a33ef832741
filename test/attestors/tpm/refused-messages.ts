/** Payloads and answers to credentials that are not what they should be. */
import { randomBytes } from "node:crypto";
import type { TpmCheck } from "../../../src/attestors/tpm/verify/checks.ts";
import { type Json, type Spoil, without } from "../../fakes/soft-tpm/agent.ts";
import { activateCredential, akName, IntegrityError, type SoftEk, softAk, softEk } from "../../fakes/soft-tpm/tpm.ts";
import { flipped, longer, type Vector, type Vectors } from "./vector.ts";

const payload = (change: (json: Json) => Json) => (): Vector => ["payload", { payload: change }];
const bytes = (change: NonNullable<Spoil["payloadBytes"]>) => (): Vector => ["payload", { payloadBytes: change }];
/** The endorsement key's PEM, as text. */
const pem = (check: TpmCheck, change: (text: string) => string) => (): Vector => [
  check,
  {
    payload: (json) => {
      const text = change(Buffer.from(json.EK, "base64").toString());
      return { ...json, EK: Buffer.from(text).toString("base64") };
    },
  },
];
const ak = (change: (members: Json) => Json) => payload((json) => ({ ...json, AK: change(json.AK) }));
const MEMBERS = ["Public", "CreateData", "CreateAttestation", "CreateSignature"] as const;

export const REFUSED_PAYLOADS: Vectors = {
  "not JSON": bytes(() => Buffer.from("tpm")),
  "JSON cut short": bytes((all) => all.subarray(0, -1)),
  "JSON twice": bytes((all) => Buffer.concat([all, all])),
  "no bytes": bytes(() => new Uint8Array()),
  "not UTF-8": bytes((all) =>
    Buffer.concat([all.subarray(0, -1), Buffer.from([0x2c, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])]),
  ),
  "more than 64 KiB": bytes((all) => Buffer.concat([all, Buffer.alloc(65_536, 0x20)])),
  "nested too deep": bytes(() => Buffer.from("[".repeat(60_000))),
  null: payload(() => null),
  "an array": payload((json) => [json]),
  "a text": payload(() => "tpm"),
  "a number": payload(() => 1),
  "nothing in it": payload(() => ({})),
  "no EK": payload(({ AK }) => ({ AK })),
  "EK null": payload((json) => ({ ...json, EK: null })),
  "EK a number": payload((json) => ({ ...json, EK: 1 })),
  "EK an array": payload((json) => ({ ...json, EK: [json.EK] })),
  "EK in URL-safe base64": payload((json) => ({ ...json, EK: `${json.EK.slice(0, -4)}-_-_` })),
  "EK that is no base64": payload((json) => ({ ...json, EK: `${json.EK}!` })),
  "EK of more than 32 KiB": payload((json) => ({ ...json, EK: "A".repeat(32_772) })),
  "no AK": payload(({ EK }) => ({ EK })),
  "AK null": payload((json) => ({ ...json, AK: null })),
  "AK an array": payload((json) => ({ ...json, AK: [] })),
  ...Object.fromEntries(
    MEMBERS.flatMap((member) => [
      [`no AK.${member}`, ak((members) => without(members, member))],
      [`AK.${member} null`, ak((members) => ({ ...members, [member]: null }))],
      [`AK.${member} of another type`, ak((members) => ({ ...members, [member]: [1, 2, 3] }))],
    ]),
  ),
  "names in lower case": payload(({ EK, AK }) => ({ ek: EK, ak: AK })),
  "Quote a text": payload((json) => ({ ...json, Quote: "sha256" })),
  "Quote without banks": payload((json) => ({ ...json, Quote: {} })),
  "banks that are numbers": payload((json) => ({ ...json, Quote: { Banks: [11] } })),
  "too many banks": payload((json) => ({ ...json, Quote: { Banks: Array(17).fill("sha256") } })),
  "a bank with a long name": payload((json) => ({ ...json, Quote: { Banks: ["sha256".repeat(3)] } })),
  "two certificates": pem("payload", (text) => text.slice(0, text.indexOf("-----BEGIN PUBLIC")) + text),
  "two public keys": pem("payload", (text) => text + text.slice(text.indexOf("-----BEGIN PUBLIC"))),
  "a block of another label": pem("payload", (text) => text.replaceAll("PUBLIC KEY", "PRIVATE KEY")),
  "a block of an unknown label besides": pem("payload", (text) => text + text.replaceAll("CERTIFICATE", "X509 CRL")),
  "a trusted certificate, as OpenSSL has it": pem("payload", (text) =>
    text.replaceAll("CERTIFICATE", "TRUSTED CERTIFICATE"),
  ),
  "PEM that does not end": pem("payload", (text) => text.slice(0, -10)),
  "PEM that does not begin": pem("payload", (text) => text.slice(text.indexOf("\n") + 1)),
  "PEM with headers": pem("payload", (text) => text.replace("-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n")),
  "PEM that is no base64": pem("payload", (text) => text.replace("-----\nM", "-----\n*")),
  "DER in place of PEM": pem("ek-encoding", () => "0\u0082"),
};

const response = (change: (json: Json) => Json) => (): Vector => [
  "challenge-response",
  { activate: (_challenge, own) => change(JSON.parse(Buffer.from(own()).toString())) },
];
const raw = (change: (own: Buffer) => Uint8Array) => (): Vector => [
  "challenge-response",
  { activate: (_challenge, own) => change(Buffer.from(own())) },
];
const secret = (change: (opened: Uint8Array) => Uint8Array) => (): Vector => ["credential", { secret: change }];
/** Without the secret there is nothing left but to guess. */
const guess = (): Json => ({ Secret: randomBytes(32).toString("base64") });

export const REFUSED_SECRETS: Vectors = {
  "another secret": secret(flipped),
  "a secret with its first bit changed": secret((opened) => flipped(opened, 0)),
  "an empty secret": secret(() => new Uint8Array()),
  "a longer secret": secret(longer),
  "a shorter secret": secret((opened) => opened.subarray(0, -1)),
  "the secret twice": secret((opened) => Buffer.concat([opened, opened])),
  "the secret with its length, as TPM2B": secret((opened) => Buffer.concat([Buffer.from([0, 32]), opened])),
  "the secret's hex": secret((opened) => Buffer.from(Buffer.from(opened).toString("hex"))),
  zeros: secret(() => Buffer.alloc(32)),
  "the credential in place of the secret": () => ["credential", { activate: ({ EC }) => ({ Secret: EC.Credential }) }],
  "a guess of another TPM, which cannot open the credential": () => {
    const ak = softAk("ec-p256");
    const stranger = softEk("ec-p256");
    return ["credential", { ak, activate: ({ EC }) => openedBy(stranger, akName(ak), EC) ?? guess() }];
  },
  "a guess of another TPM with an RSA key": () => {
    const ak = softAk("rsa-2048");
    const stranger = softEk("rsa-2048", "stranger");
    return ["credential", { ak, ek: "rsa-2048", activate: ({ EC }) => openedBy(stranger, akName(ak), EC) ?? guess() }];
  },
  "a guess of the TPM itself, which holds another attestation key": () => {
    const ek = softEk("ec-p256");
    const held = softAk("ec-p256");
    return ["credential", { ek, activate: ({ EC }) => openedBy(ek, akName(held), EC) ?? guess() }];
  },
  "not JSON": raw(() => Buffer.from("secret")),
  "no bytes": raw(() => new Uint8Array()),
  "not UTF-8": raw(() => Buffer.from([0x22, 0xff, 0x22])),
  "more than 64 KiB": raw((own) => Buffer.concat([own, Buffer.alloc(65_536, 0x20)])),
  null: response(() => null),
  "an array": response((json) => [json]),
  "no Secret": response(() => ({})),
  "Secret null": response(() => ({ Secret: null })),
  "Secret a number": response(() => ({ Secret: 1 })),
  "Secret that is no base64": response(({ Secret }) => ({ Secret: `${Secret}!` })),
  "Secret of more than 32 KiB": response(() => ({ Secret: "A".repeat(32_772) })),
  "the answer to a quote": response(() => ({ Quote: { Quoted: "AA==", Signature: "AA==", PCRs: {} } })),
};

/** What a TPM answers that has these keys; `undefined` when it refuses. */
function openedBy(ek: SoftEk, name: Uint8Array, { Credential, Secret }: Json): Json {
  try {
    const opened = activateCredential(ek, name, Buffer.from(Credential, "base64"), Buffer.from(Secret, "base64"));
    return { Secret: Buffer.from(opened).toString("base64") };
  } catch (error) {
    if (error instanceof IntegrityError) return undefined;
    throw error;
  }
}
