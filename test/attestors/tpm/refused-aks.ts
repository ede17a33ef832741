/** Attestation keys that must not be believed to be a TPM's. */

import type { TpmCheck } from "../../../src/attestors/tpm/verify/checks.ts";
import type { Creation, Spoil } from "../../fakes/soft-tpm/agent.ts";
import {
  ATTEST,
  Bit,
  cat,
  ECDSA,
  encodeAttest,
  HASH_ID,
  hex,
  NONE,
  NULL_ALG,
  type PublicFields,
  RSAPSS,
  RSASSA,
  selection,
  TYPE_CREATION,
  TYPE_QUOTE,
  tpm2b,
  u16,
  u32,
} from "../../fakes/soft-tpm/structures.ts";
import {
  type AkKind,
  akName,
  ecKey,
  rsaFromPool,
  scheme,
  softAk,
  tpmSignature,
  weakRsaKey,
} from "../../fakes/soft-tpm/tpm.ts";
import { flipped, longer, type Vector, type Vectors } from "./vector.ts";

/** A key with other attributes; its statement is as true as any. */
const attributes = (change: (bits: number) => number) => (): Vector => [
  "ak-attributes",
  { area: (f) => ({ attributes: change(f.attributes) }) },
];
const without = (bit: number) => attributes((bits) => bits & ~bit);
const area =
  (check: TpmCheck, fields: Partial<PublicFields> | ((f: PublicFields) => Partial<PublicFields>), ak?: AkKind) =>
  (): Vector => [
    check,
    { ...(ak === undefined ? {} : { ak }), area: typeof fields === "function" ? fields : () => fields },
  ];
const creation =
  (check: TpmCheck, change: (made: Creation) => Partial<Creation>, more: Spoil = {}) =>
  (): Vector => [check, { ...more, creation: change }];
const params =
  (check: TpmCheck, change: NonNullable<Spoil["params"]>): (() => Vector) =>
  () => [check, { params: change }];

/** A statement of another type, with a body that fits it. */
const statement = (type: number, attested: Uint8Array) =>
  creation("ak-creation-type", ({ attest }) => ({ attest: { ...attest, type, attested } }));
const QUOTE_BODY = cat(selection([{ bank: HASH_ID.sha256, indices: [7] }]), tpm2b(Buffer.alloc(32)));
/** r and s of a signature with SHA-256. */
const ecdsa = (r: Uint8Array, s: Uint8Array): Uint8Array => cat(scheme(ECDSA, "sha256"), tpm2b(r), tpm2b(s));

export const REFUSED_AK_KEYS: Vectors = {
  "not restricted": without(Bit.restricted),
  "without fixedTPM": without(Bit.fixedTPM),
  "without fixedParent": without(Bit.fixedParent),
  "without sensitiveDataOrigin": without(Bit.sensitiveDataOrigin),
  "without sign": without(Bit.sign),
  "that decrypts": attributes((bits) => bits | Bit.decrypt),
  "that decrypts and does not sign": attributes((bits) => (bits | Bit.decrypt) & ~Bit.sign),
  "that was imported": attributes((bits) => bits & ~(Bit.fixedTPM | Bit.fixedParent | Bit.sensitiveDataOrigin)),
  "that may be duplicated, encrypted": attributes(
    (bits) => (bits & ~(Bit.fixedTPM | Bit.fixedParent)) | Bit.encryptedDuplication,
  ),
  "without any attribute": attributes(() => 0),
  "with a cipher, as a storage key has": area("ak-attributes", { symmetric: hex("0006 0080 0043") }),
  "RSA 1024": () => ["ak-key-strength", { ak: softAk("rsa-2048", weakRsaKey()) }],
  "RSA with an even modulus": area("ak-key-strength", ({ unique }) => ({ unique: flipped(unique) }), "rsa-2048"),
  "RSA with exponent 1": area("ak-key-strength", { parameters: cat(u16(2048), u32(1)) }, "rsa-2048"),
  "RSA with an even exponent": area("ak-key-strength", { parameters: cat(u16(2048), u32(4)) }, "rsa-2048"),
  "a point that is not on the curve": area("ak-key-strength", ({ unique }) => ({ unique: flipped(unique) })),
  "a point of zeros": area("ak-key-strength", { unique: cat(tpm2b(Buffer.alloc(32)), tpm2b(Buffer.alloc(32))) }),
  "a name by SHA-1": area("ak-scheme", { nameAlg: HASH_ID.sha1 }),
  "a scheme with SHA-1": () => [
    "ak-scheme",
    { area: () => ({ scheme: scheme(ECDSA, "sha1") }), creation: () => ({ hash: "sha1" }) },
  ],
  "an RSA scheme with SHA-1": () => [
    "ak-scheme",
    { ak: "rsa-2048", area: () => ({ scheme: scheme(RSASSA, "sha1") }), creation: () => ({ hash: "sha1" }) },
  ],
  "no scheme": area("ak-scheme", { scheme: NULL_ALG }),
  "RSA-PSS": area("ak-encoding", { scheme: scheme(RSAPSS, "sha256") }, "rsa-2048"),
  "an RSA key for ECDSA": area("ak-encoding", { scheme: scheme(ECDSA, "sha256") }, "rsa-2048"),
  "an EC key for RSASSA": area("ak-encoding", { scheme: scheme(RSASSA, "sha256") }),
  ECDAA: area("ak-encoding", { scheme: cat(scheme(0x001a, "sha256"), u16(1)) }),
  "a scheme with an unknown hash": area("ak-encoding", { scheme: cat(u16(ECDSA), u16(0x0012)) }),
  "the curve P-224": area("ak-encoding", { parameters: cat(u16(0x0002), NULL_ALG) }),
  "the curve BN-P256": area("ak-encoding", { parameters: cat(u16(0x0010), NULL_ALG) }),
  secp256k1: () => ["ak-encoding", { ak: softAk("ec-p256", ecKey("secp256k1")) }],
  "a key derivation scheme": area("ak-encoding", { parameters: cat(u16(3), scheme(0x0020, "sha256")) }),
  "a coordinate longer than the curve": area("ak-encoding", {
    unique: cat(tpm2b(Buffer.alloc(33, 1)), tpm2b(Buffer.alloc(32, 1))),
  }),
  "a modulus that is shorter than it claims": area("ak-encoding", { parameters: cat(u16(3072), u32(0)) }, "rsa-2048"),
  "a symmetric key": area("ak-encoding", { type: 0x0025 }),
  "a keyed hash": area("ak-encoding", { type: 0x0008 }),
  "an unknown name algorithm": area("ak-encoding", { nameAlg: 0x0012 }),
  "no name algorithm": area("ak-encoding", { nameAlg: 0x0010 }),
  "a policy longer than a digest": area("ak-encoding", { policy: Buffer.alloc(65) }),
  "another cipher": area("ak-encoding", { symmetric: hex("0013 0080 0043") }),
  "another cipher mode": area("ak-encoding", { symmetric: hex("0006 0080 0042") }),
};

export const REFUSED_CREATIONS: Vectors = {
  "creation data altered": params("ak-creation-data", (ak) => ({ CreateData: flipped(ak.CreateData, 8) })),
  "creation data of another key": params("ak-creation-data", (ak) => {
    // What was given from outside stands at the end.
    const data = ak.CreateData.subarray(0, -2);
    return { CreateData: cat(data, tpm2b(Buffer.from("another"))) };
  }),
  "a creation hash altered": creation("ak-creation-data", ({ creationHash }) => ({
    creationHash: flipped(creationHash),
  })),
  "no creation hash": creation("ak-creation-data", () => ({ creationHash: NONE })),
  "a creation hash cut short": creation("ak-creation-data", ({ creationHash }) => ({
    creationHash: creationHash.subarray(1),
  })),
  "magic altered": creation("ak-creation-magic", ({ attest }) => ({ attest: { ...attest, magic: 0xff544346 } })),
  "magic zero": creation("ak-creation-magic", ({ attest }) => ({ attest: { ...attest, magic: 0 } })),
  "a quote sent as a creation": statement(TYPE_QUOTE, QUOTE_BODY),
  "a certification sent as a creation": statement(0x8017, cat(tpm2b(NONE), tpm2b(NONE))),
  "a statement about the time sent as a creation": statement(0x8019, Buffer.alloc(33)),
  "a statement of no type": statement(0, NONE),
  "about another key": creation("ak-creation-name", () => ({ objectName: akName(softAk("ec-p256")) })),
  "about no key": creation("ak-creation-name", () => ({ objectName: NONE })),
  "a name with another algorithm": creation("ak-creation-name", ({ objectName }) => ({
    objectName: cat(u16(HASH_ID.sha384), objectName.subarray(2)),
  })),
  "attributes that were not in what was named": params("ak-creation-name", (ak) => {
    // stClear, which no other check looks at
    const bytes = Buffer.from(ak.Public);
    bytes.writeUInt8(bytes.readUInt8(7) | Bit.stClear, 7);
    return { Public: bytes };
  }),
  "a whole statement of another key, made by it": params("ak-creation-name", (ak) => {
    const other = softAk("ec-p256");
    const attested = cat(tpm2b(akName(other)), ak.CreateAttestation.subarray(-34));
    const attestation = encodeAttest({ ...ATTEST, type: TYPE_CREATION, attested });
    return { CreateAttestation: attestation, CreateSignature: tpmSignature(other.key.privateKey, attestation) };
  }),
  "signed by another key": creation("ak-creation-signature", () => ({ signer: ecKey("prime256v1").privateKey })),
  "signed by another RSA key": creation(
    "ak-creation-signature",
    () => ({ signer: rsaFromPool("another").privateKey }),
    { ak: "rsa-2048" },
  ),
  "signed by a key of another kind": creation("ak-creation-signature", () => ({
    signer: rsaFromPool("another").privateKey,
  })),
  "signed with another hash": creation("ak-creation-signature", () => ({ hash: "sha384" })),
  "signed with SHA-1": creation("ak-creation-signature", () => ({ hash: "sha1" })),
  "a signature of other bytes": params("ak-creation-signature", (ak) => ({
    CreateAttestation: flipped(ak.CreateAttestation, 45),
  })),
  "a signature altered": params("ak-creation-signature", (ak) => ({ CreateSignature: flipped(ak.CreateSignature) })),
  "a signature of zeros": params("ak-creation-signature", () => ({
    CreateSignature: ecdsa(Buffer.alloc(32), Buffer.alloc(32)),
  })),
  "a signature of nothing": params("ak-creation-signature", () => ({ CreateSignature: ecdsa(NONE, NONE) })),
  "an RSA signature of nothing, shorter than any": params("ak-encoding", () => ({
    CreateSignature: cat(scheme(RSASSA, "sha256"), tpm2b(NONE)),
  })),
  "a signature with a coordinate too long": params("ak-creation-signature", (ak) => ({
    CreateSignature: ecdsa(cat(Buffer.of(0), ak.CreateSignature.subarray(6, 38)), ak.CreateSignature.subarray(40)),
  })),
  "a signature with its halves exchanged": params("ak-creation-signature", (ak) => ({
    CreateSignature: ecdsa(ak.CreateSignature.subarray(40), ak.CreateSignature.subarray(6, 38)),
  })),
  "an HMAC": params("ak-encoding", () => ({ CreateSignature: cat(scheme(0x0005, "sha256"), Buffer.alloc(32)) })),
  "no signature": params("ak-encoding", () => ({ CreateSignature: NULL_ALG })),
  "a signature with an unknown hash": params("ak-encoding", (ak) => ({
    CreateSignature: cat(u16(ECDSA), u16(0x0012), ak.CreateSignature.subarray(4)),
  })),
  "a clock that is neither safe nor unsafe": creation("ak-encoding", ({ attest }) => ({
    attest: { ...attest, safe: 2 },
  })),
  ...Object.fromEntries(
    (["Public", "CreateData", "CreateAttestation", "CreateSignature"] as const).flatMap((member) => [
      [`${member} with a byte too many`, params("ak-encoding", (ak) => ({ [member]: longer(ak[member]) }))],
      [`no ${member}`, params("ak-encoding", () => ({ [member]: NONE }))],
      [`${member} of more than 4 KiB`, params("ak-encoding", () => ({ [member]: Buffer.alloc(4097) }))],
    ]),
  ),
};
