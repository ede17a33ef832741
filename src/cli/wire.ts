/** Conversions between what is typed or printed and the messages of the APIs. */

import type { Bundle } from "../gen/spire/api/types/bundle.ts";
import type { SPIFFEID } from "../gen/spire/api/types/spiffeid.ts";
import { AgentError } from "../lib/errors.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import {
  parseSpiffeId,
  parseTrustDomain,
  pathOf,
  type SpiffeId,
  type TrustDomain,
  trustDomainOf,
} from "../spiffe/id.ts";
import { parseSelector, type Selector } from "../spiffe/selector.ts";
import type { Der } from "../spiffe/svid.ts";

const MAX_QUOTED = 200;

/** An ID as it was typed. Throws `INVALID_ARGUMENT` that names the flag. */
export function spiffeIdFromText(flagName: string, value: string): SpiffeId {
  return fromText(flagName, `invalid SPIFFE ID ${quoted(value)}`, () => parseSpiffeId(value));
}

/** The same as a message. */
export function idFromText(flagName: string, value: string): SPIFFEID {
  const id = spiffeIdFromText(flagName, value);
  return { trustDomain: trustDomainOf(id), path: pathOf(id) };
}

/** A trust domain, or an ID in it, as it was typed. Throws `INVALID_ARGUMENT` that names the flag. */
export function trustDomainFromText(flagName: string, value: string): TrustDomain {
  return fromText(flagName, `invalid trust domain ${quoted(value)}`, () => parseTrustDomain(value));
}

/** A selector as it was typed. Throws `INVALID_ARGUMENT` that names the flag. */
export function selectorFromText(flagName: string, value: string): Selector {
  return fromText(flagName, quoted(value), () => parseSelector(value));
}

/** What was typed, for a message: its beginning is enough to find it. */
function quoted(value: string): string {
  return value.length <= MAX_QUOTED ? `"${value}"` : `"${value.slice(0, MAX_QUOTED)}…"`;
}

function fromText<T>(flagName: string, what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new AgentError("INVALID_ARGUMENT", `-${flagName}: ${what}`, { cause: error });
  }
}

/** An ID for people to read. */
export function idText(id: SPIFFEID | undefined): string {
  return id === undefined ? "" : `spiffe://${id.trustDomain}${id.path}`;
}

/** A moment in Unix seconds, as Go prints it in UTC: `2026-01-02 15:04:05 +0000 UTC`. */
export function timeText(unixSeconds: bigint | number): string {
  return goTime(Number(unixSeconds) * 1000);
}

/** A moment in milliseconds since the epoch, as Go prints it in UTC. */
export function goTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} +0000 UTC`;
}

/** A bundle message as the domain has it. */
export function bundleFromWire(bundle: Bundle): TrustBundle {
  return {
    trustDomain: parseTrustDomain(bundle.trustDomain),
    x509Authorities: bundle.x509Authorities.map(({ asn1, tainted }) => ({ certificate: asn1 as Der, tainted })),
    jwtAuthorities: bundle.jwtAuthorities.map((key) => ({ ...key, expiresAt: Number(key.expiresAt) })),
    witAuthorities: bundle.witAuthorities.map((key) => ({ ...key, expiresAt: Number(key.expiresAt) })),
    refreshHint: Number(bundle.refreshHint),
    sequence: bundle.sequenceNumber,
  };
}

/** A bundle of another trust domain, for a server that is to store it. */
export function bundleToWire(bundle: TrustBundle): Bundle {
  return {
    trustDomain: bundle.trustDomain,
    x509Authorities: bundle.x509Authorities.map(({ certificate }) => ({ asn1: certificate, tainted: false })),
    jwtAuthorities: bundle.jwtAuthorities.map((key) => ({ ...key, expiresAt: BigInt(key.expiresAt) })),
    witAuthorities: bundle.witAuthorities.map((key) => ({ ...key, expiresAt: BigInt(key.expiresAt) })),
    refreshHint: BigInt(bundle.refreshHint),
    sequenceNumber: bundle.sequence,
  };
}
