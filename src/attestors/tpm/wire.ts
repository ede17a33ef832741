/**
 * What both halves of `tpm` say to each other, as JSON. The first exchange is that of the SPIFFE-hosted `tpm` plugin,
 * with Go's names and base64; members that a peer does not know are ignored, so that `Quote` in the payload announces
 * the second exchange to our server and nothing to others.
 *
 * | | |
 * |---|---|
 * | payload | `{"EK": PEM, "AK": {"Public", "UseTCSDActivationFormat": false, "CreateData", "CreateAttestation", "CreateSignature"}, "Quote": {"Banks": [...]}}` |
 * | challenge 1 | `{"EC": {"Credential", "Secret"}}` |
 * | response 1 | `{"Secret"}` |
 * | challenge 2 | `{"Quote": {"Nonce", "PCRs": [{"Bank", "Indices": [...]}]}}` |
 * | response 2 | `{"Quote": {"Quoted", "Signature", "PCRs": {bank: {index: hex}}}}` |
 */
import { z } from "zod";
import { AgentError } from "../../lib/errors.ts";
import { decodeBase64 } from "../../pki/base64.ts";
import { pemBlocks, pemEncode } from "../../pki/pem.ts";
import { PCR_BANKS, type PcrBank } from "./structures/algorithms.ts";
import type { EncryptedCredential } from "./structures/credential.ts";
import { MAX_PCR, type PcrSelection } from "./structures/pcr-selection.ts";

/** The attestation type on the wire. */
export const TPM = "tpm";

/** Longest message of either side, in bytes. */
export const MAX_MESSAGE_BYTES = 65_536;
const MAX_REFUSAL = 300;
/** Length of the nonce that a quote answers. */
export const NONCE_BYTES = 32;

/** The endorsement key as it is sent: its certificate, its SubjectPublicKeyInfo, or both. DER. */
export interface EkPem {
  readonly certificate: Uint8Array | undefined;
  readonly publicKey: Uint8Array | undefined;
}

/** An attestation key and the TPM's statement that it made it: TPMT_PUBLIC, TPMS_CREATION_DATA, TPMS_ATTEST, TPMT_SIGNATURE. */
export interface AkParameters {
  readonly public: Uint8Array;
  readonly createData: Uint8Array;
  readonly createAttestation: Uint8Array;
  readonly createSignature: Uint8Array;
}

/** The first message. */
export interface TpmPayload {
  readonly ek: EkPem;
  readonly ak: AkParameters;
  /** PCR banks that can be quoted; absent: the agent knows of no second exchange. */
  readonly quoteBanks: readonly PcrBank[] | undefined;
}

/** What the server asks. */
export type TpmChallenge =
  | { readonly kind: "credential"; readonly credential: EncryptedCredential }
  | { readonly kind: "quote"; readonly nonce: Uint8Array; readonly selection: readonly PcrSelection[] };

/** The answer to a quote challenge. */
export interface QuoteResponse {
  /** TPMS_ATTEST. */
  readonly quoted: Uint8Array;
  /** TPMT_SIGNATURE. */
  readonly signature: Uint8Array;
  readonly pcrs: ReadonlyMap<PcrBank, ReadonlyMap<number, Uint8Array>>;
}

const MAX_BASE64 = 32_768;
const base64 = z
  .string()
  .max(MAX_BASE64)
  .transform((text, context) => {
    const bytes = decodeBase64(text, "base64");
    if (bytes !== undefined) return bytes;
    context.addIssue({ code: "custom", message: "is no base64" });
    return z.NEVER;
  });
const bank = z.enum(PCR_BANKS);
const index = z.int().min(0).max(MAX_PCR);

const payloadSchema = z.object({
  EK: base64,
  AK: z.object({
    Public: base64,
    CreateData: base64,
    CreateAttestation: base64,
    CreateSignature: base64,
  }),
  // An agent of a later version may have banks that we do not know.
  Quote: z.object({ Banks: z.array(z.string().max(16)).max(16) }).nullish(),
});

const challengeSchema = z.union([
  z.object({ EC: z.object({ Credential: base64, Secret: base64 }) }),
  z.object({
    Quote: z.object({
      Nonce: base64,
      PCRs: z
        .array(
          z.object({
            Bank: bank,
            Indices: z
              .array(index)
              .min(1)
              .max(MAX_PCR + 1),
          }),
        )
        .max(PCR_BANKS.length),
    }),
  }),
]);

const secretSchema = z.object({ Secret: base64 });

const hexDigest = z
  .string()
  .regex(/^(?:[0-9a-f]{2}){20,64}$/)
  .transform((text) => new Uint8Array(Buffer.from(text, "hex")));
const pcrIndex = z.string().regex(/^(?:[0-9]|1[0-9]|2[0-3])$/);
const quoteSchema = z.object({
  Quote: z.object({
    Quoted: base64,
    Signature: base64,
    PCRs: z.partialRecord(bank, z.record(pcrIndex, hexDigest)),
  }),
});

/** Encodes the first message. */
export function encodePayload({ ek, ak, quoteBanks }: TpmPayload): Uint8Array {
  return json({
    EK: encode(Buffer.from(encodeEkPem(ek))),
    AK: {
      Public: encode(ak.public),
      UseTCSDActivationFormat: false,
      CreateData: encode(ak.createData),
      CreateAttestation: encode(ak.createAttestation),
      CreateSignature: encode(ak.createSignature),
    },
    ...(quoteBanks === undefined ? {} : { Quote: { Banks: quoteBanks } }),
  });
}

/** Reads the first message. Throws `MALFORMED`. */
export function parsePayload(bytes: Uint8Array): TpmPayload {
  const { EK, AK, Quote } = read("payload", payloadSchema, bytes);
  return {
    ek: parseEkPem(EK),
    ak: {
      public: AK.Public,
      createData: AK.CreateData,
      createAttestation: AK.CreateAttestation,
      createSignature: AK.CreateSignature,
    },
    quoteBanks: Quote == null ? undefined : PCR_BANKS.filter((known) => Quote.Banks.includes(known)),
  };
}

/** Encodes what the server asks. */
export function encodeChallenge(challenge: TpmChallenge): Uint8Array {
  if (challenge.kind === "credential") {
    const { credential, secret } = challenge.credential;
    return json({ EC: { Credential: encode(credential), Secret: encode(secret) } });
  }
  const { nonce, selection } = challenge;
  return json({
    Quote: { Nonce: encode(nonce), PCRs: selection.map(({ bank: Bank, indices: Indices }) => ({ Bank, Indices })) },
  });
}

/** Reads what the server asks. Throws `MALFORMED`. */
export function parseChallenge(bytes: Uint8Array): TpmChallenge {
  const challenge = read("challenge", challengeSchema, bytes);
  if ("EC" in challenge) {
    return { kind: "credential", credential: { credential: challenge.EC.Credential, secret: challenge.EC.Secret } };
  }
  const { Nonce, PCRs } = challenge.Quote;
  const selection = PCRs.map(({ Bank, Indices }) => ({ bank: Bank, indices: Indices }));
  return { kind: "quote", nonce: Nonce, selection };
}

/** Encodes the answer to a credential. */
export function encodeSecret(secret: Uint8Array): Uint8Array {
  return json({ Secret: encode(secret) });
}

/** Reads the answer to a credential. Throws `MALFORMED`. */
export function parseSecret(bytes: Uint8Array): Uint8Array {
  return read("response", secretSchema, bytes).Secret;
}

/** Encodes the answer to a quote challenge. */
export function encodeQuote({ quoted, signature, pcrs }: QuoteResponse): Uint8Array {
  const banks = [...pcrs].map(([name, values]) => [
    name,
    Object.fromEntries([...values].map(([pcr, value]) => [String(pcr), Buffer.from(value).toString("hex")])),
  ]);
  return json({
    Quote: { Quoted: encode(quoted), Signature: encode(signature), PCRs: Object.fromEntries(banks) },
  });
}

/** Reads the answer to a quote challenge. Throws `MALFORMED`. */
export function parseQuote(bytes: Uint8Array): QuoteResponse {
  const { Quoted, Signature, PCRs } = read("response", quoteSchema, bytes).Quote;
  const pcrs = new Map<PcrBank, ReadonlyMap<number, Uint8Array>>();
  for (const name of PCR_BANKS) {
    const values = PCRs[name];
    if (values !== undefined)
      pcrs.set(name, new Map(Object.entries(values).map(([pcr, value]) => [Number(pcr), value])));
  }
  return { quoted: Quoted, signature: Signature, pcrs };
}

/** Certificate first, as the plugin has it. */
function encodeEkPem({ certificate, publicKey }: EkPem): string {
  const block = (label: string, der: Uint8Array | undefined): string =>
    der === undefined ? "" : pemEncode(label, der);
  return block("CERTIFICATE", certificate) + block("PUBLIC KEY", publicKey);
}

/** One block of each kind at the most; of another kind, none. */
function parseEkPem(bytes: Uint8Array): EkPem {
  const blocks = pemBlocks(Buffer.from(bytes).toString("latin1"));
  const only = (label: string): Uint8Array | undefined => {
    const found = blocks.filter((block) => block.label === label);
    if (found.length > 1) throw malformed(`payload: EK has ${found.length} blocks of ${label}`);
    return found[0]?.der;
  };
  const other = blocks.find(({ label }) => label !== "CERTIFICATE" && label !== "PUBLIC KEY");
  if (other !== undefined) throw malformed(`payload: EK has a block of ${other.label}`);
  return { certificate: only("CERTIFICATE"), publicKey: only("PUBLIC KEY") };
}

function read<T>(what: string, schema: z.ZodType<T>, bytes: Uint8Array): T {
  if (bytes.length > MAX_MESSAGE_BYTES) throw malformed(`${what}: longer than ${MAX_MESSAGE_BYTES} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw malformed(`${what}: no JSON`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw malformed(`${what}: ${issue?.path.join(".") || "it"}: ${issue?.message}`);
}

/** Names of members are the peer's: the log takes so much of them. */
function malformed(what: string): AgentError {
  return new AgentError("MALFORMED", what.length > MAX_REFUSAL ? `${what.slice(0, MAX_REFUSAL)}…` : what);
}

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
