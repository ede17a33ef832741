/** A TPM vendor for tests: its CA, and the certificates that it issues for endorsement keys, rightly or wrongly. */
import { oid, sequence, setOf, tlv } from "../../../src/pki/der-writer.ts";
import { Oid } from "../../../src/pki/oid.ts";
import { Tag } from "../../../src/pki/tags.ts";
import {
  aki,
  type CertFields,
  cn,
  ecKey,
  ext,
  gn,
  makeCert,
  ski,
  type TestCert,
  type TestIssuer,
} from "../../pki/make.ts";
import type { SoftKey } from "./tpm.ts";

/** A name without attributes, as endorsement certificates have for a subject. */
export const NO_NAME: Uint8Array = sequence();

/** A root and an issuer below it. */
export interface Vendor {
  readonly root: TestCert;
  readonly issuer: TestCert;
}

export function makeVendor(name = "Test vendor"): Vendor {
  const rootKey = ecKey();
  const ca = [ext.ca, ext.caUsage];
  const root = makeCert(undefined, { name: cn(`${name} root`), key: rootKey, extensions: [...ca, ski(rootKey)] });
  const key = ecKey();
  const extensions = [...ca, ski(key), aki(rootKey)];
  return { root, issuer: makeCert(root, { name: cn(`${name} issuer`), key, extensions }) };
}

/** tcg-kp-EKCertificate. */
export const EK_USAGE = "2.23.133.8.1";

/** TCG attributes of a directory name. */
const ATTRIBUTES = { manufacturer: "2.23.133.2.1", model: "2.23.133.2.2", version: "2.23.133.2.3" } as const;
export const MODEL = { manufacturer: "id:54455354", model: "Soft", version: "id:00010002" } as const;
export type Model = Partial<Record<keyof typeof ATTRIBUTES, string | readonly string[]>>;

/** A directory name with TCG attributes, each in a set of its own; several values stand one after the other. */
export function tcgName(model: Model = MODEL): Uint8Array {
  const rdns = (Object.keys(ATTRIBUTES) as (keyof typeof ATTRIBUTES)[]).flatMap((what) =>
    [model[what] ?? []]
      .flat()
      .map((text) => setOf(sequence(oid(ATTRIBUTES[what]), tlv(Tag.UTF8_STRING, Buffer.from(text))))),
  );
  return sequence(...rdns);
}

/** The subject alternative name of endorsement certificates. */
export function tcgSan(names: readonly Uint8Array[] = [tcgName()], critical = true): Uint8Array {
  return ext.raw(Oid.subjectAltName, critical, sequence(...names.map(gn.directory)));
}

/** Every departure from the profile can be asked for: an extension, or `null` for none. */
export interface EkCertificateFields extends CertFields {
  readonly issuer?: TestIssuer;
  readonly constraints?: Uint8Array | null;
  readonly usage?: Uint8Array | null;
  readonly eku?: Uint8Array | null;
  readonly aki?: Uint8Array | null;
  readonly san?: Uint8Array | null;
  readonly more?: readonly Uint8Array[];
}

/** A certificate of this vendor for an endorsement key. */
export function ekCertificate(vendor: Vendor, ek: SoftKey, fields: EkCertificateFields = {}): Uint8Array {
  const { issuer = vendor.issuer, constraints, usage, eku, aki: keyId, san, more = [], ...rest } = fields;
  const isEc = ek.privateKey.asymmetricKeyType === "ec";
  const extensions = [
    constraints === undefined ? ext.notCa : constraints,
    usage === undefined ? ext.usage(isEc ? "keyAgreement" : "keyEncipherment") : usage,
    eku === undefined ? ext.eku(EK_USAGE) : eku,
    keyId === undefined ? aki(issuer.key) : keyId,
    san === undefined ? tcgSan() : san,
    ...more,
  ].filter((extension) => extension !== null);
  return makeCert(issuer, { name: NO_NAME, spki: ek.spki, extensions, ...rest }).der;
}
