/** Valid messages of `tpm`, as JSON made here and not by the code under test. */
import { GENUINE } from "./genuine.ts";
import { AK_PROOFS, KEYS, QUOTES } from "./proofs.ts";
import { credential } from "./structures.ts";

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const json = (value: unknown): Uint8Array => new Uint8Array(Buffer.from(JSON.stringify(value)));
const block = (label: string, bytes: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${base64(bytes).replace(/.{64}/g, "$&\n")}\n-----END ${label}-----\n`;

const short = (bytes: Uint8Array): Uint8Array => bytes.slice(0, 8);

/** What stands in for a certificate: nothing here looks into it. */
const CERTIFICATE = block("CERTIFICATE", Buffer.alloc(60, 6));
const PUBLIC_KEYS = KEYS.map(({ publicKey }) => publicKey.export({ type: "spki", format: "pem" }).toString());

/** PEM texts besides those of keys. */
export const PEMS: readonly Uint8Array[] = [
  Buffer.from(`text before\n${CERTIFICATE}between\n${PUBLIC_KEYS[0]}after\n`),
  Buffer.from(block("A B 1", Buffer.alloc(3)).replaceAll("\n", "\r\n")),
];

/** The first message: a certificate, a key, or both; banks, or none. Its reader does not look into the structures, so most are short. */
export const PAYLOADS: readonly Uint8Array[] = [
  ...AK_PROOFS.map(({ area, data, attest, signature }, at) => ({
    EK: base64(Buffer.from(`${at < 2 ? CERTIFICATE : ""}${at > 0 ? PUBLIC_KEYS[at % 3] : ""}`)),
    AK:
      at === 0
        ? parameters(area, data, attest, signature)
        : parameters(short(area), short(data), short(attest), short(signature)),
    ...(at === 2 ? {} : { Quote: { Banks: ["sha1", "sha256", "sha384", "sm3"].slice(at) } }),
  })),
  ...GENUINE.flatMap(({ akPublic, creation }) =>
    creation === undefined
      ? []
      : [
          {
            EK: base64(Buffer.from(CERTIFICATE)),
            AK: parameters(akPublic, creation.data, creation.attest, creation.signature),
          },
        ],
  ),
].map(json);

/** What the server asks. */
export const CHALLENGES: readonly Uint8Array[] = [
  ...[credential(32, 256), credential(48, 100)].map(({ idObject, secret }) => ({
    EC: { Credential: base64(idObject), Secret: base64(secret) },
  })),
  ...QUOTES.map(({ qualifyingData, selected }) => ({
    Quote: {
      Nonce: base64(qualifyingData),
      PCRs: selected.map(({ bank, indices }) => ({ Bank: bank, Indices: indices })),
    },
  })),
].map(json);

/** The answer to a credential. */
export const SECRETS: readonly Uint8Array[] = [32, 1, 0].map((length) =>
  json({ Secret: base64(Buffer.alloc(length, 4)) }),
);

/** The answer to a quote challenge. */
export const QUOTE_RESPONSES: readonly Uint8Array[] = QUOTES.map(({ quoted, signature, pcrs }, at) => {
  const banks: Record<string, Record<string, string>> = {};
  for (const { bank, index, value } of pcrs) {
    banks[bank] = { ...banks[bank], [String(index)]: Buffer.from(value).toString("hex") };
  }
  const parts = at === 0 ? [quoted, signature] : [short(quoted), short(signature)];
  const [Quoted, Signature] = parts.map(base64);
  return json({ Quote: { Quoted, Signature, PCRs: banks } });
});

function parameters(area: Uint8Array, data: Uint8Array, attest: Uint8Array, signature: Uint8Array): object {
  return {
    Public: base64(area),
    UseTCSDActivationFormat: false,
    CreateData: base64(data),
    CreateAttestation: base64(attest),
    CreateSignature: base64(signature),
  };
}
