/** Public areas that keys are made from (TCG EK Credential Profile, B.3 and B.4; TPM 2.0 Part 2, 12.2.4). */
import type { TpmKeyUse } from "../../../lib/native-tpm.ts";
import type { AkKind, EkKind } from "../config.ts";
import { algOf, curveId, TpmAlg } from "../structures/algorithms.ts";
import { headOf } from "../structures/public-area.ts";
import { concat, sized, u16, u32 } from "../structures/writer.ts";

/** fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt. */
const EK_LOW = 0x0003_00b2;
/** The same and userWithAuth, with a policy that the owner may extend. */
const EK_HIGH = 0x0003_00f2;
/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign. */
const AK = 0x0005_0472;

/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, decrypt. */
const STORAGE = 0x0003_0472;

/** PolicySecret(endorsement). */
const POLICY_A_SHA256 = Buffer.from("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa", "hex");
const POLICY_A_SHA384 = Buffer.from(
  "8bbf2266537c171cb56e403c4dc1d4b64f432611dc386e6f532050c3278c930e143e8bb1133824ccb431053871c6db53",
  "hex",
);
/** PolicyAuthorizeNV, of an index that the owner may define. */
const POLICY_C_SHA256 = Buffer.from("3767e2edd43ff45a3a7e1eaefcef78643dca964632e7aad82c673a30d8633fde", "hex");
const POLICY_C_SHA384 = Buffer.from(
  "d6032ce61f2fb3c240eb3cf6a33237ef2b6a16f4293c22b455e261cffd217ad5b4947c2d73e63005eed2dc2b3593d165",
  "hex",
);
/** PolicyOR of policies A and C. */
const POLICY_B_SHA256 = Buffer.from("ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0", "hex");
const POLICY_B_SHA384 = Buffer.from(
  "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12",
  "hex",
);

const NO_SCHEME = u16(TpmAlg.NULL);
const NO_KDF = u16(TpmAlg.NULL);
const EMPTY = sized(new Uint8Array());
const RSA_2048 = concat(u16(2048), u32(0));

/** Template L-1 (B.3.3). A nonce, if the TPM has one, stands at the start of `unique`. */
export function rsaLow(nonce: Uint8Array = new Uint8Array()): Uint8Array {
  const unique = new Uint8Array(256);
  unique.set(nonce.subarray(0, unique.length));
  return concat(head(TpmAlg.RSA, "sha256", EK_LOW, POLICY_A_SHA256), aesCfb(128), NO_SCHEME, RSA_2048, sized(unique));
}

/** Template L-2 (B.3.4). */
export function p256Low(nonce: Uint8Array = new Uint8Array()): Uint8Array {
  const x = new Uint8Array(32);
  x.set(nonce.subarray(0, x.length));
  return concat(
    head(TpmAlg.ECC, "sha256", EK_LOW, POLICY_A_SHA256),
    aesCfb(128),
    NO_SCHEME,
    u16(curveId("P-256")),
    NO_KDF,
    sized(x),
    sized(new Uint8Array(32)),
  );
}

/** Template H-1 (B.4.3). */
export function rsaHigh(): Uint8Array {
  return concat(head(TpmAlg.RSA, "sha256", EK_HIGH, POLICY_B_SHA256), aesCfb(128), NO_SCHEME, RSA_2048, EMPTY);
}

/** Template H-2 (B.4.4). */
export function p256High(): Uint8Array {
  const curve = u16(curveId("P-256"));
  const policy = head(TpmAlg.ECC, "sha256", EK_HIGH, POLICY_B_SHA256);
  return concat(policy, aesCfb(128), NO_SCHEME, curve, NO_KDF, EMPTY, EMPTY);
}

/** Template H-3 (B.4.5). */
export function p384High(): Uint8Array {
  const curve = u16(curveId("P-384"));
  const policy = head(TpmAlg.ECC, "sha384", EK_HIGH, POLICY_B_SHA384);
  return concat(policy, aesCfb(256), NO_SCHEME, curve, NO_KDF, EMPTY, EMPTY);
}

/** A storage key, the parent of what is sealed (TCG TPM v2.0 Provisioning Guidance, 7.5.1: P-256 storage primary). */
export function storageKey(): Uint8Array {
  const curve = u16(curveId("P-256"));
  const noPolicy = head(TpmAlg.ECC, "sha256", STORAGE, new Uint8Array());
  return concat(noPolicy, aesCfb(128), NO_SCHEME, curve, NO_KDF, EMPTY, EMPTY);
}

/** An attestation key: it signs what the TPM states, and nothing else. */
export function attestationKey(kind: AkKind): Uint8Array {
  const noCipher = u16(TpmAlg.NULL);
  const none = new Uint8Array();
  if (kind === "rsa-2048") {
    const scheme = concat(u16(TpmAlg.RSASSA), u16(TpmAlg.SHA256));
    return concat(head(TpmAlg.RSA, "sha256", AK, none), noCipher, scheme, RSA_2048, EMPTY);
  }
  const scheme = concat(u16(TpmAlg.ECDSA), u16(TpmAlg.SHA256));
  const curve = u16(curveId("P-256"));
  return concat(head(TpmAlg.ECC, "sha256", AK, none), noCipher, scheme, curve, NO_KDF, EMPTY, EMPTY);
}

/** Templates by their names in the profile: low and high range. */
export const EK_TEMPLATE_NAMES = ["L-1", "H-1", "L-2", "H-2", "H-3"] as const;

/** One of them. */
export type EkTemplateName = (typeof EK_TEMPLATE_NAMES)[number];

/** Where a kind of endorsement key has its certificate, and what it is made from. */
export interface EkTemplate {
  readonly name: EkTemplateName;
  readonly kind: EkKind;
  /** NV index of the certificate (TCG EK Credential Profile, 2.2.1.4 and 2.2.1.5). */
  readonly certificateIndex: number;
  /** NV indices of a nonce and of a template that the maker chose; low range only. */
  readonly nonceIndex?: number;
  readonly templateIndex?: number;
  /** Where such a key is kept if it is kept in the TPM. */
  readonly persistentHandle: number;
  readonly template: (nonce?: Uint8Array) => Uint8Array;
}

/** In the order of preference: RSA, P-256, P-384; of each, the range that has been in use longest first. */
export const EK_TEMPLATES: readonly EkTemplate[] = [
  {
    name: "L-1",
    kind: "rsa-2048",
    certificateIndex: 0x01c0_0002,
    nonceIndex: 0x01c0_0003,
    templateIndex: 0x01c0_0004,
    persistentHandle: 0x8101_0001,
    template: rsaLow,
  },
  {
    name: "H-1",
    kind: "rsa-2048",
    certificateIndex: 0x01c0_0012,
    persistentHandle: 0x8101_0012,
    template: rsaHigh,
  },
  {
    name: "L-2",
    kind: "ec-p256",
    certificateIndex: 0x01c0_000a,
    nonceIndex: 0x01c0_000b,
    templateIndex: 0x01c0_000c,
    persistentHandle: 0x8101_0002,
    template: p256Low,
  },
  {
    name: "H-2",
    kind: "ec-p256",
    certificateIndex: 0x01c0_0014,
    persistentHandle: 0x8101_0014,
    template: p256High,
  },
  {
    name: "H-3",
    kind: "ec-p384",
    certificateIndex: 0x01c0_0016,
    persistentHandle: 0x8101_0016,
    template: p384High,
  },
];

/** How keys with the profile's policies are used. TPML_DIGEST: Part 2, 10.9.1. */
const USES: readonly { readonly policy: Uint8Array; readonly use: TpmKeyUse }[] = [
  { policy: POLICY_A_SHA256, use: { auth: "policy-secret" } },
  { policy: POLICY_B_SHA256, use: branching(POLICY_A_SHA256, POLICY_C_SHA256) },
  { policy: POLICY_B_SHA384, use: branching(POLICY_A_SHA384, POLICY_C_SHA384) },
];

/**
 * How a key or a template is used: by its policy where that is one of the profile's, which no lockout concerns, else by
 * an empty password.
 */
export function useOf(publicArea: Uint8Array): TpmKeyUse {
  const { authPolicy } = headOf(publicArea);
  return USES.find(({ policy }) => Buffer.compare(policy, authPolicy) === 0)?.use ?? { auth: "password" };
}

function branching(...branches: readonly Uint8Array[]): TpmKeyUse {
  return { auth: "policy-secret", policyOr: concat(u32(branches.length), ...branches.map(sized)) };
}

/** What a public area begins with: type, name algorithm, attributes, policy. */
function head(type: number, nameAlg: "sha256" | "sha384", attributes: number, policy: Uint8Array): Uint8Array {
  return concat(u16(type), u16(algOf(nameAlg)), u32(attributes), sized(policy));
}

/** The cipher with which a storage key protects what is below it. */
function aesCfb(bits: 128 | 256): Uint8Array {
  return concat(u16(TpmAlg.AES), u16(bits), u16(TpmAlg.CFB));
}
