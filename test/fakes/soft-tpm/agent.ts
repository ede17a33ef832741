/** The agent's half with a TPM of software: proves what is true, or what a vector asks of it. */
import { createHash, type KeyObject } from "node:crypto";
import {
  ATTEST,
  type AttestFields,
  cat,
  encodeAttest,
  encodePublic,
  HASH_ID,
  HASH_SIZE,
  type Hash,
  creationData as makeCreationData,
  type PublicFields,
  selection,
  TYPE_CREATION,
  TYPE_QUOTE,
  tpm2b,
} from "./structures.ts";
import {
  type AkKind,
  activateCredential,
  akName,
  type EkKind,
  ecKey,
  type SoftAk,
  type SoftEk,
  type SoftKey,
  softAk,
  softEk,
  tpmSignature,
} from "./tpm.ts";
import { type EkCertificateFields, ekCertificate, type Vendor } from "./vendor.ts";

export type Banks = Readonly<Record<string, Readonly<Record<string, string>>>>;
/** A vector may change any member of a message to anything. */
export type Json = ReturnType<typeof JSON.parse>;

/** A statement about a creation before it is signed. */
export interface Creation {
  readonly data: Uint8Array;
  readonly attest: AttestFields;
  readonly objectName: Uint8Array;
  readonly creationHash: Uint8Array;
  readonly signer: KeyObject;
  readonly hash: Hash;
}

/** A quote before it is signed. */
export interface Quote {
  readonly attest: AttestFields;
  readonly selection: Uint8Array;
  readonly pcrDigest: Uint8Array;
  readonly signer: KeyObject;
  readonly hash: Hash;
}

/** The answer to a quote challenge. */
export interface Answer {
  readonly quoted: Uint8Array;
  readonly signature: Uint8Array;
  readonly pcrs: Banks;
}

/** What is changed of an otherwise true proof, from the keys on outwards. */
export interface Spoil {
  readonly ek?: EkKind | SoftEk;
  /** `null`: none. */
  readonly certificate?: EkCertificateFields | null | ((ek: SoftEk) => Uint8Array);
  /** `null`: none. */
  readonly publicKey?: Uint8Array | null;
  readonly ak?: AkKind | SoftAk;
  readonly area?: (fields: PublicFields) => Partial<PublicFields>;
  readonly creation?: (creation: Creation) => Partial<Creation>;
  readonly params?: (ak: AkParams) => Partial<AkParams>;
  readonly banks?: readonly string[] | null;
  readonly payload?: (payload: Json) => Json;
  readonly payloadBytes?: (bytes: Buffer) => Uint8Array;
  readonly secret?: (secret: Uint8Array) => Uint8Array;
  /** Answers the first challenge in place of this TPM; or changes its JSON. */
  readonly activate?: (challenge: Json, own: () => Uint8Array) => Json;
  readonly quote?: (quote: Quote) => Partial<Quote>;
  readonly answer?: (answer: Answer) => Partial<Answer>;
  readonly answerJson?: (json: Json) => Json;
  /** For whom the quote is. Default: the key of the CSR. */
  readonly csr?: Uint8Array;
}

/** The four members of `AK`. */
export interface AkParams {
  readonly Public: Uint8Array;
  readonly CreateData: Uint8Array;
  readonly CreateAttestation: Uint8Array;
  readonly CreateSignature: Uint8Array;
}

/** What this machine booted: PCR 7 of each bank is `7`, and so on. */
export function pcrValue(bank: string, index: number): string {
  return createHash(bank).update(`PCR ${index}`).digest("hex");
}

const b64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const unb64 = (text: string): Buffer => Buffer.from(text, "base64");
const pem = (label: string, der: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${(b64(der).match(/.{1,64}/g) ?? []).join("\n")}\n-----END ${label}-----\n`;

/** One ceremony. */
export class SoftAgent {
  readonly ek: SoftEk;
  readonly ak: SoftAk;
  readonly csr: SoftKey = ecKey("prime256v1");
  readonly payload: Uint8Array;
  readonly #spoil: Spoil;

  constructor(vendor: Vendor, spoil: Spoil = {}) {
    this.#spoil = spoil;
    const { ek = "ec-p256", ak = "ec-p256", area, banks = ["sha256"], payload, payloadBytes } = spoil;
    this.ek = typeof ek === "string" ? softEk(ek) : ek;
    const made = typeof ak === "string" ? softAk(ak) : ak;
    this.ak = { ...made, fields: { ...made.fields, ...area?.(made.fields) } };
    const json: Json = {
      EK: b64(Buffer.from(this.#ekPem(vendor))),
      AK: { ...encode(this.#akParams()), UseTCSDActivationFormat: false },
      ...(banks === null ? {} : { Quote: { Banks: banks } }),
    };
    const bytes = Buffer.from(JSON.stringify(payload === undefined ? json : payload(json)));
    this.payload = payloadBytes === undefined ? bytes : payloadBytes(bytes);
  }

  /** Answers a challenge of the server. */
  async respond(bytes: Uint8Array): Promise<Uint8Array> {
    const challenge: Json = JSON.parse(Buffer.from(bytes).toString());
    if (challenge.EC !== undefined) return this.#activate(challenge);
    return this.#quote(challenge.Quote);
  }

  #ekPem(vendor: Vendor): string {
    const { certificate = {}, publicKey = this.ek.spki } = this.#spoil;
    const der =
      certificate === null
        ? undefined
        : typeof certificate === "function"
          ? certificate(this.ek)
          : ekCertificate(vendor, this.ek, certificate);
    return (
      (der === undefined ? "" : pem("CERTIFICATE", der)) + (publicKey === null ? "" : pem("PUBLIC KEY", publicKey))
    );
  }

  #akParams(): AkParams {
    const { creation, params } = this.#spoil;
    const data = makeCreationData();
    const nameAlg = this.ak.fields.nameAlg === HASH_ID.sha1 ? "sha1" : "sha256";
    const plain: Creation = {
      data,
      attest: { ...ATTEST, type: TYPE_CREATION, attested: new Uint8Array() },
      objectName: akName(this.ak),
      creationHash: createHash(nameAlg).update(data).digest(),
      signer: this.ak.key.privateKey,
      hash: "sha256",
    };
    const made = { ...plain, ...creation?.(plain) };
    const own = cat(tpm2b(made.objectName), tpm2b(made.creationHash));
    const attested = made.attest.attested.length === 0 ? own : made.attest.attested;
    const attestation = encodeAttest({ ...made.attest, attested });
    const sent: AkParams = {
      Public: encodePublic(this.ak.fields),
      CreateData: made.data,
      CreateAttestation: attestation,
      CreateSignature: tpmSignature(made.signer, attestation, made.hash),
    };
    return { ...sent, ...params?.(sent) };
  }

  #activate(challenge: Json): Uint8Array {
    const { EC } = challenge;
    const { secret, activate } = this.#spoil;
    const own = (): Uint8Array => {
      const opened = activateCredential(this.ek, akName(this.ak), unb64(EC.Credential), unb64(EC.Secret));
      return Buffer.from(JSON.stringify({ Secret: b64(secret === undefined ? opened : secret(opened)) }));
    };
    if (activate === undefined) return own();
    const answer = activate(challenge, own);
    return answer instanceof Uint8Array ? answer : Buffer.from(JSON.stringify(answer));
  }

  #quote({ Nonce, PCRs }: Json): Uint8Array {
    const { quote, answer, answerJson } = this.#spoil;
    const asked: { Bank: Hash; Indices: number[] }[] = PCRs;
    const values = asked.flatMap(({ Bank, Indices }) => Indices.map((index) => pcrValue(Bank, index)));
    const spki = this.#spoil.csr ?? this.csr.spki;
    const extraData = createHash("sha256").update(unb64(Nonce)).update(spki).digest();
    const plain: Quote = {
      attest: { ...ATTEST, type: TYPE_QUOTE, extraData, attested: new Uint8Array() },
      selection: selection(asked.map(({ Bank, Indices }) => ({ bank: HASH_ID[Bank], indices: Indices }))),
      pcrDigest: createHash("sha256")
        .update(Buffer.from(values.join(""), "hex"))
        .digest(),
      signer: this.ak.key.privateKey,
      hash: "sha256",
    };
    const made = { ...plain, ...quote?.(plain) };
    const own = cat(made.selection, tpm2b(made.pcrDigest));
    const attested = made.attest.attested.length === 0 ? own : made.attest.attested;
    const quoted = encodeAttest({ ...made.attest, attested });
    const pcrs = Object.fromEntries(
      asked.map(({ Bank, Indices }) => [Bank, Object.fromEntries(Indices.map((i) => [i, pcrValue(Bank, i)]))]),
    );
    const sent: Answer = { quoted, signature: tpmSignature(made.signer, quoted, made.hash), pcrs };
    const told = { ...sent, ...answer?.(sent) };
    const json: Json = { Quote: { Quoted: b64(told.quoted), Signature: b64(told.signature), PCRs: told.pcrs } };
    return Buffer.from(JSON.stringify(answerJson === undefined ? json : answerJson(json)));
  }
}

function encode(ak: AkParams): Record<string, string> {
  return Object.fromEntries(Object.entries(ak).map(([name, bytes]: [string, Uint8Array]) => [name, b64(bytes)]));
}

/** The object without one of its members. */
export function without(json: Json, member: string): Json {
  return Object.fromEntries(Object.entries(json).filter(([name]) => name !== member));
}

/** All-zero digest of a bank. */
export function zeroes(bank: Hash): string {
  return "00".repeat(HASH_SIZE[bank]);
}
