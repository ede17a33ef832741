/** Which endorsement key an agent is known by: found once, remembered, and the same ever after. */

import { AgentError } from "../../../lib/errors.ts";
import type { TpmHandle, TpmKey } from "../../../lib/native-tpm.ts";
import { parseCertificate } from "../../../pki/certificate.ts";
import { encodeSpki, readSpki } from "../../../pki/spki.ts";
import type { EkKind } from "../config.ts";
import { type PublicArea, parametersOf, parsePublicArea, spkiOf } from "../structures/public-area.ts";
import { trimCertificate } from "./ek-certificate.ts";
import { isUnsupported } from "./errors.ts";
import { EK_TEMPLATES, type EkTemplate, type EkTemplateName, useOf } from "./templates.ts";

/** An endorsement key of this TPM. */
export interface TpmEndorsementKey {
  readonly template: EkTemplateName;
  readonly kind: EkKind;
  readonly key: TpmKey;
  /** SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  /** DER; absent when the TPM holds none for this key. */
  readonly certificate: Uint8Array | undefined;
}

/** Which key is wanted. */
export interface EkWish {
  /** Of this kind only. */
  readonly kind: EkKind | undefined;
  /** The one that was used before, if it is of that kind: certificates that came or went meanwhile do not matter. */
  readonly remembered: EkTemplateName | undefined;
}

/**
 * Finds the key: the remembered one, else the first that has a certificate, else the first that the TPM can make. The
 * order is RSA, P-256, P-384. A key that is kept in the TPM is used before one is made.
 * @throws AgentError `FAILED_PRECONDITION` when there is none, or when a certificate is not its key's.
 */
export async function findEndorsementKey(tpm: TpmHandle, { kind, remembered }: EkWish): Promise<TpmEndorsementKey> {
  const ofKind = EK_TEMPLATES.filter((template) => kind === undefined || template.kind === kind);
  const same = ofKind.filter(({ name }) => name === remembered);
  const candidates = same.length > 0 ? same : ofKind;
  for (const candidate of candidates) {
    const certificate = await readCertificate(tpm, candidate);
    if (certificate !== undefined) return await withCertificate(tpm, candidate, certificate);
  }
  for (const candidate of candidates) {
    const found = await withoutCertificate(tpm, candidate);
    if (found !== undefined) return found;
  }
  const wanted = same[0]?.kind ?? kind ?? "RSA, P-256 or P-384";
  const why = same.length > 0 ? ", by which this agent was known (delete tpm-ek.json to choose anew)" : "";
  throw new AgentError("FAILED_PRECONDITION", `the TPM has no endorsement key of kind ${wanted}${why}`);
}

/** The certificate in NV memory, if there is one. */
export async function readCertificate(tpm: TpmHandle, candidate: EkTemplate): Promise<Uint8Array | undefined> {
  const nv = await tpm.nvRead(candidate.certificateIndex);
  return nv === null ? undefined : trimCertificate(nv);
}

async function withCertificate(
  tpm: TpmHandle,
  candidate: EkTemplate,
  certificate: Uint8Array,
): Promise<TpmEndorsementKey> {
  const { name: template, kind } = candidate;
  const wanted = encodeSpki(readSpki(parseCertificate(certificate).spki));
  const isCertified = (area: PublicArea): boolean => Buffer.compare(spkiOf(area), wanted) === 0;
  const kept = await keptKey(tpm, candidate);
  if (kept !== undefined && isCertified(kept.area)) return { template, kind, key: kept.key, spki: wanted, certificate };
  // Whatever it is made from, the vendor certified the result; what others may have left there must not hide it.
  for (const from of await makersTemplates(tpm, candidate)) {
    const made = await primary(tpm, from);
    if (isCertified(made.area)) return { template, kind, key: made.key, spki: wanted, certificate };
  }
  const index = candidate.certificateIndex.toString(16).padStart(8, "0");
  throw new AgentError(
    "FAILED_PRECONDITION",
    `the endorsement certificate at NV index 0x${index} is not that of the TPM's ${kind} endorsement key`,
  );
}

async function withoutCertificate(tpm: TpmHandle, candidate: EkTemplate): Promise<TpmEndorsementKey | undefined> {
  const { name: template, kind } = candidate;
  try {
    // No certificate vouches for what others may have left in the TPM: whoever used it before could have chosen a template
    // of a key that leaves it.
    const { key, area } = (await keptKey(tpm, candidate)) ?? (await primary(tpm, await usualTemplate(tpm, candidate)));
    return { template, kind, key, spki: spkiOf(area), certificate: undefined };
  } catch (error) {
    if (isUnsupported(error)) return undefined;
    throw error;
  }
}

interface FoundKey {
  readonly key: TpmKey;
  readonly area: PublicArea;
}

/** The key at the candidate's persistent handle, if it can be an endorsement key of that kind. */
async function keptKey(
  tpm: TpmHandle,
  { persistentHandle: handle, template }: EkTemplate,
): Promise<FoundKey | undefined> {
  const bytes = await tpm.readPublic({ handle, auth: "password" });
  if (bytes === null) return undefined;
  let area: PublicArea;
  try {
    area = parsePublicArea(bytes);
  } catch (error) {
    if (error instanceof AgentError) return undefined;
    throw error;
  }
  const isMadeFrom = Buffer.compare(parametersOf(bytes), parametersOf(template())) === 0;
  return isMadeFrom ? { key: { handle, ...useOf(bytes) }, area } : undefined;
}

async function primary(tpm: TpmHandle, template: Uint8Array): Promise<FoundKey> {
  const key: TpmKey = { hierarchy: "endorsement", template, ...useOf(template) };
  const bytes = await tpm.readPublic(key);
  if (bytes === null) throw new Error("the TPM made no key");
  return { key, area: parsePublicArea(bytes) };
}

/** What the key may be made from: what the maker left in the TPM first, then the profile's template. */
async function makersTemplates(tpm: TpmHandle, candidate: EkTemplate): Promise<readonly Uint8Array[]> {
  const { templateIndex } = candidate;
  const own = templateIndex === undefined ? null : await tpm.nvRead(templateIndex);
  const usual = await usualTemplate(tpm, candidate);
  return own === null || !isTemplate(own) ? [usual] : [own, usual];
}

/** The profile's template, with the maker's nonce: that makes another key, but none that could leave the TPM. */
async function usualTemplate(tpm: TpmHandle, { nonceIndex, template }: EkTemplate): Promise<Uint8Array> {
  const nonce = nonceIndex === undefined ? null : await tpm.nvRead(nonceIndex);
  return template(nonce ?? undefined);
}

function isTemplate(bytes: Uint8Array): boolean {
  try {
    parametersOf(bytes);
    return true;
  } catch (error) {
    if (error instanceof AgentError) return false;
    throw error;
  }
}
