/** The server's messages as domain objects: what is malformed is left out and named, never passed on. */
import type { Bundle } from "../gen/spire/api/types/bundle.ts";
import type { Entry } from "../gen/spire/api/types/entry.ts";
import type { JWTSVID } from "../gen/spire/api/types/jwtsvid.ts";
import type { SPIFFEID } from "../gen/spire/api/types/spiffeid.ts";
import type { WITSVID } from "../gen/spire/api/types/witsvid.ts";
import type { X509SVID } from "../gen/spire/api/types/x509svid.ts";
import { AgentError, errorText } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { MAX_CERTIFICATE_BYTES, parseCertificate } from "../pki/certificate.ts";
import { publicKeyFromSpki } from "../pki/keys.ts";
import type { KeyAuthority, TrustBundle, X509Authority } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import {
  isReserved,
  makeSpiffeId,
  parseTrustDomain,
  pathOf,
  type SpiffeId,
  type TrustDomain,
  trustDomainOf,
} from "../spiffe/id.ts";
import { checkSelector } from "../spiffe/selector.ts";
import type { Der } from "../spiffe/svid.ts";
import type { SignedToken } from "./issued-jwt.ts";

/** An authenticated server may still be wrong: each of these is far above what any deployment has. */
const LIMIT = {
  selectors: 1_000,
  federatesWith: 1_000,
  hintBytes: 1_024,
  authorities: 1_000,
  chain: 10,
  keyIdBytes: 1_024,
};
const ENTRY_ID = /^[\x21-\x7e]{1,255}$/;

/** Whether the text can be an entry's ID. SPIRE's are narrower; what matters is that it is short and printable. */
export function isEntryId(id: string): boolean {
  return ENTRY_ID.test(id);
}

/** An entry, or undefined (with a log line) if the agent cannot use it: without ID, SPIFFE ID or selectors, or malformed. */
export function toAuthorizedEntry(entry: Entry, trustDomain: TrustDomain, log: Logger): AuthorizedEntry | undefined {
  try {
    return readEntry(entry, trustDomain, log);
  } catch (error) {
    log.warn("Ignoring an entry of the server", { entry_id: printableId(entry.id), error: errorText(error) });
    return undefined;
  }
}

function readEntry(entry: Entry, trustDomain: TrustDomain, log: Logger): AuthorizedEntry {
  if (!isEntryId(entry.id)) throw malformed("its ID is missing or malformed");
  const spiffeId = toSpiffeId(entry.spiffeId);
  if (trustDomainOf(spiffeId) !== trustDomain) throw malformed(`its SPIFFE ID ${spiffeId} is of another trust domain`);
  // X509-SVID 3.1, JWT-SVID 3.1: the ID of the trust domain itself is no workload's
  if (pathOf(spiffeId) === "") throw malformed("its SPIFFE ID has no path");
  if (isReserved(spiffeId)) throw malformed(`its SPIFFE ID ${spiffeId} is reserved`);
  if (entry.selectors.length === 0) throw malformed("it has no selectors");
  if (entry.selectors.length > LIMIT.selectors) throw malformed("it has too many selectors");
  if (entry.federatesWith.length > LIMIT.federatesWith) throw malformed("it federates with too many trust domains");
  return {
    entryId: entry.id,
    spiffeId,
    selectors: entry.selectors.map(checkSelector),
    federatesWith: entry.federatesWith.flatMap((name) => {
      try {
        return [parseTrustDomain(name)];
      } catch (error) {
        log.warn("Ignoring a federated trust domain of an entry", { entry_id: entry.id, error: errorText(error) });
        return [];
      }
    }),
    admin: entry.admin,
    downstream: entry.downstream,
    storeSvid: entry.storeSvid,
    hint: Buffer.byteLength(entry.hint) > LIMIT.hintBytes ? "" : entry.hint,
    createdAt: seconds(entry.createdAt),
    revision: entry.revisionNumber,
    disableX509SvidPrefetch: entry.additionalAttributes?.disableX509SvidPrefetch ?? false,
    jwtSvidIncludeJti: entry.additionalAttributes?.jwtSvidIncludeJti ?? false,
  };
}

/**
 * A bundle of the expected trust domain. Throws `MALFORMED` for another one's; authorities that do not parse are left out.
 * Authorities that `known` has already are taken from there: bundles are fetched far more often than they change.
 */
export function toTrustBundle(bundle: Bundle, expected: TrustDomain, log: Logger, known?: TrustBundle): TrustBundle {
  const trustDomain = parseTrustDomain(bundle.trustDomain);
  if (trustDomain !== expected) throw malformed(`the server sent the bundle of ${trustDomain}, not of ${expected}`);
  const count = bundle.x509Authorities.length + bundle.jwtAuthorities.length + bundle.witAuthorities.length;
  if (count > LIMIT.authorities) throw malformed("the server sent a bundle with too many authorities");
  const keep = <T, R>(items: readonly T[], read: (item: T) => R): R[] =>
    items.flatMap((item) => {
      try {
        return [read(item)];
      } catch (error) {
        log.warn("Ignoring an authority of a bundle", { trust_domain_id: trustDomain, error: errorText(error) });
        return [];
      }
    });
  return {
    trustDomain,
    x509Authorities: keep(bundle.x509Authorities, x509AuthorityReader(known?.x509Authorities ?? [])),
    jwtAuthorities: keep(bundle.jwtAuthorities, keyAuthorityReader(known?.jwtAuthorities ?? [])),
    witAuthorities: keep(bundle.witAuthorities, keyAuthorityReader(known?.witAuthorities ?? [])),
    refreshHint: Math.max(0, seconds(bundle.refreshHint)),
    sequence: bundle.sequenceNumber,
  };
}

type Read<T, R> = (item: T) => R;

function x509AuthorityReader(known: readonly X509Authority[]): Read<Bundle["x509Authorities"][number], X509Authority> {
  const textOf = (der: Uint8Array): string => Buffer.from(der.buffer, der.byteOffset, der.length).toString("latin1");
  const byContent = new Map(known.map((authority) => [textOf(authority.certificate), authority]));
  return ({ asn1, tainted }) => {
    const same = byContent.get(textOf(asn1));
    if (same?.tainted === tainted) return same;
    return { certificate: same?.certificate ?? parseCertificate(ownBytes(asn1)).der, tainted };
  };
}

function keyAuthorityReader(known: readonly KeyAuthority[]): Read<Bundle["jwtAuthorities"][number], KeyAuthority> {
  const byId = new Map(known.map((authority) => [authority.keyId, authority]));
  return (key) => {
    const same = byId.get(key.keyId);
    const isSame =
      same?.tainted === key.tainted &&
      same.expiresAt === seconds(key.expiresAt) &&
      Buffer.compare(same.publicKey, key.publicKey) === 0;
    return isSame ? same : toKeyAuthority(key);
  };
}

function toKeyAuthority(key: Bundle["jwtAuthorities"][number]): KeyAuthority {
  if (key.keyId === "" || Buffer.byteLength(key.keyId) > LIMIT.keyIdBytes)
    throw malformed("a key's ID is missing or too long");
  const publicKey = ownBytes(key.publicKey);
  publicKeyFromSpki(publicKey);
  return { keyId: key.keyId, publicKey, expiresAt: seconds(key.expiresAt), tainted: key.tainted };
}

/** The chain of an SVID as sent, leaf first, bounded but not yet trusted. Throws `MALFORMED`. */
export function toChain(svid: X509SVID | undefined): Der[] {
  if (svid === undefined || svid.certChain.length === 0) throw malformed("the server sent no certificate");
  if (svid.certChain.length > LIMIT.chain) throw malformed("the server sent too many certificates");
  return svid.certChain.map((der) => {
    if (der.length === 0 || der.length > MAX_CERTIFICATE_BYTES) throw malformed("the server sent no certificate");
    return ownBytes(der) as Der;
  });
}

/** A token as sent, not yet looked at. Throws `MALFORMED`. */
export function toSignedToken(svid: JWTSVID | WITSVID | undefined): SignedToken {
  if (svid === undefined || svid.token === "") throw malformed("the server sent no token");
  return { token: svid.token, issuedAt: seconds(svid.issuedAt), expiresAt: seconds(svid.expiresAt) };
}

/** A SPIFFE ID in two parts. Throws `INVALID_ARGUMENT`. */
export function toSpiffeId(id: SPIFFEID | undefined): SpiffeId {
  if (id === undefined) throw malformed("a SPIFFE ID is missing");
  return makeSpiffeId(parseTrustDomain(id.trustDomain), id.path);
}

/** Unix seconds as a number; what no date can hold counts as unset. */
function seconds(value: bigint): number {
  return value >= -8_640_000_000_000n && value <= 8_640_000_000_000n ? Number(value) : 0;
}

/** Decoded fields are views of the whole message, which they would keep in memory. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

function printableId(id: string): string {
  return isEntryId(id) ? id : "";
}

function malformed(message: string): AgentError {
  return new AgentError("MALFORMED", message);
}
