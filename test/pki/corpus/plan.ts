/** What a chain of the corpus shall be, before it is made: faults and twists change the plan, then it is signed. */

import { oid, sequence, small, TRUE, tlv } from "../../../src/pki/der-writer.ts";
import type { KeyUsage } from "../../../src/pki/extensions.ts";
import { encodeName } from "../../../src/pki/name.ts";
import { Oid } from "../../../src/pki/oid.ts";
import { contextConstructed } from "../../../src/pki/tags.ts";
import { aki, type CertFields, DAY, ext, gn, makeCert, ski, type TestIssuer, type TestKey } from "../make.ts";
import { keyDrawer } from "./keys.ts";
import type { Choices } from "./random.ts";

/** The moment that every chain is judged at. */
export const CORPUS_NOW: number = Date.UTC(2026, 0, 1, 12);

/** One certificate to be made. */
export interface CertPlan {
  name: Uint8Array;
  key: TestKey;
  /** Instead of the issuer's own name. */
  issuerName?: Uint8Array;
  /** Signs instead of the issuer's key. */
  signer?: TestKey;
  notBefore: number;
  notAfter: number;
  basic: { ca: boolean; pathLen?: number; critical?: boolean } | undefined;
  usage: readonly KeyUsage[] | undefined;
  eku: readonly string[] | undefined;
  sans: Uint8Array[];
  sanCritical: boolean;
  permitted: Uint8Array[];
  excluded: Uint8Array[];
  constraintsCritical: boolean;
  ski: boolean;
  aki: "issuer" | "none" | "other";
  extra: Uint8Array[];
  /** Version 1, without extensions. */
  isV1?: boolean;
  /** Fields that are passed on as they are. */
  raw: Pick<CertFields, "spki" | "serial" | "version" | "algorithm" | "outer">;
  /** Changes the finished certificate. */
  edit?: (der: Uint8Array) => Uint8Array;
}

/** A certificate beside the path, issued where `path[at]` was. */
export interface Decoy {
  readonly at: number;
  readonly cert: CertPlan;
}

/** One chain to be made. */
export interface ChainPlan {
  readonly id: number;
  readonly choices: Choices;
  readonly newKey: () => TestKey;
  /** Leaf first, anchor last. */
  path: CertPlan[];
  /** The anchor was issued by a CA that is nowhere to be seen. */
  isAnchorIssued: boolean;
  decoys: Decoy[];
  /** Finished certificates, to be presented, or trusted, too. */
  presented: Uint8Array[];
  trusted: Uint8Array[];
  /** Members of the path that are not presented. */
  omitted: Set<CertPlan>;
  presentsAnchor: boolean;
  isShuffled: boolean;
  /** Instead of the path's anchor. */
  authorities?: Uint8Array[];
  /** The leaf is trusted instead. */
  trustsLeaf: boolean;
}

/** A made chain. */
export interface MadeChain {
  readonly chain: readonly Uint8Array[];
  readonly authorities: readonly Uint8Array[];
}

/** The beginning of all names of a chain, which directory constraints build upon. */
export const ACME = { country: ["US"], organization: ["Acme"] };

/** A name that no other chain has. */
export function nameIn(plan: Pick<ChainPlan, "id">, what: string): Uint8Array {
  return encodeName({ ...ACME, commonName: `${what} of ${plan.id}` });
}

/** A good chain with that many CAs. */
export function goodChain(id: number, choices: Choices, cas: number): ChainPlan {
  const newKey = keyDrawer(choices);
  const path = [leafPlan(id, newKey())];
  for (let level = 1; level <= cas; level++) path.push(caPlan(nameIn({ id }, `CA ${level}`), newKey()));
  return {
    id,
    choices,
    newKey,
    path,
    isAnchorIssued: false,
    decoys: [],
    presented: [],
    trusted: [],
    omitted: new Set(),
    presentsAnchor: false,
    isShuffled: false,
    trustsLeaf: false,
  };
}

const COMMON = () => ({
  notBefore: CORPUS_NOW - DAY,
  notAfter: CORPUS_NOW + 30 * DAY,
  eku: undefined,
  sanCritical: false,
  permitted: [],
  excluded: [],
  constraintsCritical: true,
  aki: "issuer" as const,
  extra: [],
  raw: {},
});

export function caPlan(name: Uint8Array, key: TestKey): CertPlan {
  const sans = [gn.uri("spiffe://example.org")];
  return { ...COMMON(), name, key, basic: { ca: true }, usage: ["keyCertSign", "cRLSign"], sans, ski: true };
}

function leafPlan(id: number, key: TestKey): CertPlan {
  return {
    ...COMMON(),
    name: nameIn({ id }, "workload"),
    key,
    basic: { ca: false },
    usage: ["digitalSignature", "keyAgreement"],
    eku: [Oid.serverAuth, Oid.clientAuth],
    sans: [gn.uri("spiffe://example.org/workload")],
    ski: false,
  };
}

/** A copy that can be changed alone. */
export function copyOf(cert: CertPlan): CertPlan {
  const { sans, permitted, excluded, extra } = cert;
  return {
    ...cert,
    sans: [...sans],
    permitted: [...permitted],
    excluded: [...excluded],
    extra: [...extra],
    raw: { ...cert.raw },
  };
}

/** Makes the certificates. */
export function make(plan: ChainPlan): MadeChain {
  const { path, choices } = plan;
  const hidden = { name: nameIn(plan, "hidden CA"), key: plan.newKey() };
  const issuerAt = (at: number): TestIssuer | undefined => path[at + 1] ?? (plan.isAnchorIssued ? hidden : undefined);
  const sign = (cert: CertPlan, at: number): Uint8Array => signCert(cert, issuerAt(at), serialOf(choices));
  const ders = path.map(sign);
  const top = path.length - 1;
  const beside = plan.decoys.map(({ at, cert }) => ({ isAnchor: at === top, der: sign(cert, at) }));
  const middle = path
    .map((cert, at) => ({ cert, at, der: ders[at]! }))
    .filter(({ cert, at }) => at > 0 && (at < top || plan.presentsAnchor) && !plan.omitted.has(cert))
    .map(({ der }) => der);
  const others = [...middle, ...beside.filter(({ isAnchor }) => !isAnchor).map(({ der }) => der), ...plan.presented];
  const usual = [ders[top]!, ...beside.filter(({ isAnchor }) => isAnchor).map(({ der }) => der), ...plan.trusted];
  const authorities = plan.trustsLeaf ? [ders[0]!] : (plan.authorities ?? usual);
  return {
    chain: [ders[0]!, ...(plan.isShuffled ? choices.shuffled(others) : others)],
    authorities: plan.isShuffled ? choices.shuffled(authorities) : authorities,
  };
}

/** A certificate, by itself without issuer. */
export function signCert(cert: CertPlan, issuer: TestIssuer | undefined, serial: Uint8Array): Uint8Array {
  const by = issuer ?? cert;
  const key = cert.signer ?? by.key;
  const { der } = makeCert(
    { name: cert.issuerName ?? by.name, key },
    {
      name: cert.name,
      key: cert.key,
      serial,
      notBefore: cert.notBefore,
      notAfter: cert.notAfter,
      ...(cert.isV1 ? { version: new Uint8Array(0) } : { extensions: extensionsOf(cert, by.key) }),
      ...cert.raw,
    },
  );
  return cert.edit?.(der) ?? der;
}

export function serialOf(choices: Choices): Uint8Array {
  return Uint8Array.from([2, 8, 0x40 + choices.int(0x40), ...Array.from({ length: 7 }, () => choices.int(256))]);
}

function extensionsOf(cert: CertPlan, issuerKey: TestKey): Uint8Array[] {
  const { basic, usage, eku, sans, permitted, excluded } = cert;
  const list: (Uint8Array | undefined)[] = [
    basic && ext.raw(Oid.basicConstraints, basic.critical ?? true, basicValue(basic)),
    usage && ext.usage(...usage),
    eku && ext.eku(...eku),
    sans.length > 0 ? ext.raw(Oid.subjectAltName, cert.sanCritical, sequence(...sans)) : undefined,
    permitted.length + excluded.length > 0
      ? ext.raw(Oid.nameConstraints, cert.constraintsCritical, constraintsValue(permitted, excluded))
      : undefined,
    cert.ski ? ski(cert.key) : undefined,
    cert.aki === "none" ? undefined : aki(cert.aki === "issuer" ? issuerKey : cert.key),
    ...cert.extra,
  ];
  return list.filter((extension) => extension !== undefined);
}

function basicValue({ ca, pathLen }: { ca: boolean; pathLen?: number }): Uint8Array {
  return sequence(...(ca ? [TRUE] : []), ...(pathLen === undefined ? [] : [small(pathLen)]));
}

function constraintsValue(permitted: readonly Uint8Array[], excluded: readonly Uint8Array[]): Uint8Array {
  const subtrees = (number: number, bases: readonly Uint8Array[]): Uint8Array[] =>
    bases.length === 0 ? [] : [tlv(contextConstructed(number), ...bases.map((base) => sequence(base)))];
  return sequence(...subtrees(0, permitted), ...subtrees(1, excluded));
}

/** A name whose attributes are in other letters, which RFC 5280 7.1 takes for the same. */
export function shouting(commonName: string): Uint8Array {
  return encodeName({ country: ["US"], organization: ["ACME"], commonName: commonName.toUpperCase() });
}

/** PolicyConstraints and their kin, by the names that the corpus calls them. */
export const POLICY_EXTENSIONS = {
  requireExplicit: (critical: boolean) => ext.raw(Oid.policyConstraints, critical, sequence(Uint8Array.of(0x80, 1, 0))),
  inhibitMapping: (critical: boolean) => ext.raw(Oid.policyConstraints, critical, sequence(Uint8Array.of(0x81, 1, 0))),
  inhibitAny: (critical: boolean) => ext.raw("2.5.29.54", critical, small(0)),
  mappings: (critical: boolean) =>
    ext.raw("2.5.29.33", critical, sequence(sequence(oid("1.3.6.1.4.1.99999.2"), oid("1.3.6.1.4.1.99999.3")))),
  policies: (critical: boolean) => ext.raw(Oid.certificatePolicies, critical, sequence(sequence(oid("2.23.133.11.1")))),
};
