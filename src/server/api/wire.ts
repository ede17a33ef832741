/** SPIFFE IDs, selectors and filters between messages and domain types. */
import type { FederatesWithMatch } from "../../gen/spire/api/types/federateswith.ts";
import type { SelectorMatch, Selector as SelectorMessage } from "../../gen/spire/api/types/selector.ts";
import type { SPIFFEID } from "../../gen/spire/api/types/spiffeid.ts";
import type { X509SVID } from "../../gen/spire/api/types/x509svid.ts";
import { publicError } from "../../lib/errors.ts";
import {
  isAgentId,
  isReserved,
  makeSpiffeId,
  parseTrustDomain,
  pathOf,
  type SpiffeId,
  type TrustDomain,
  trustDomainOf,
} from "../../spiffe/id.ts";
import { checkSelector, type Selector } from "../../spiffe/selector.ts";
import type { SetMatch } from "../datastore/datastore.ts";
import type { IssuedSvid } from "../ports.ts";

/** Reads an ID. Throws `INVALID_ARGUMENT`. */
export function idFromMessage(id: SPIFFEID | undefined): SpiffeId {
  if (id === undefined) throw publicError("INVALID_ARGUMENT", "request must specify SPIFFE ID");
  return makeSpiffeId(parseTrustDomain(id.trustDomain), id.path);
}

/** Writes an ID. */
export function idToMessage(id: SpiffeId): SPIFFEID {
  return { trustDomain: trustDomainOf(id), path: pathOf(id) };
}

/** Reads the ID of a member of the trust domain; reserved paths are allowed. */
export function memberIdFromMessage(trustDomain: TrustDomain, message: SPIFFEID | undefined): SpiffeId {
  const id = idFromMessage(message);
  checkMember(trustDomain, id);
  if (pathOf(id) === "") {
    throw publicError("INVALID_ARGUMENT", `"${id}" is not a member of trust domain "${trustDomain}"; path is empty`);
  }
  return id;
}

/** Reads the ID of a workload of the trust domain. */
export function workloadIdFromMessage(trustDomain: TrustDomain, message: SPIFFEID | undefined): SpiffeId {
  return checkWorkloadId(trustDomain, idFromMessage(message));
}

/** Returns the ID if a workload of the trust domain may have it. Throws `INVALID_ARGUMENT`. */
export function checkWorkloadId(trustDomain: TrustDomain, id: SpiffeId): SpiffeId {
  checkMember(trustDomain, id);
  const refusal = `"${id}" is not a workload in trust domain "${trustDomain}"`;
  if (pathOf(id) === "") throw publicError("INVALID_ARGUMENT", `${refusal}; path is empty`);
  if (isReserved(id)) throw publicError("INVALID_ARGUMENT", `${refusal}; path is in the reserved namespace`);
  return id;
}

/** Reads the ID of an agent of the trust domain. */
export function agentIdFromMessage(trustDomain: TrustDomain, message: SPIFFEID | undefined): SpiffeId {
  const id = idFromMessage(message);
  checkMember(trustDomain, id);
  const refusal = `"${id}" is not an agent in trust domain "${trustDomain}"`;
  if (pathOf(id) === "") throw publicError("INVALID_ARGUMENT", `${refusal}; path is empty`);
  if (!isAgentId(id)) throw publicError("INVALID_ARGUMENT", `${refusal}; path is not in the agent namespace`);
  return id;
}

/** Reads selectors, in order. Throws `INVALID_ARGUMENT`. */
export function selectorsFromMessage(selectors: readonly SelectorMessage[]): readonly Selector[] {
  return selectors.map(checkSelector);
}

const MATCHES: readonly SetMatch[] = ["exact", "subset", "superset", "any"];

/** Reads a match behaviour. Throws `INVALID_ARGUMENT` for a number that means none. */
export function matchFromMessage(match: number): SetMatch {
  const known = MATCHES[match];
  if (known === undefined) throw publicError("INVALID_ARGUMENT", `unknown match behavior ${match}`);
  return known;
}

/** Reads a condition on selectors. Throws `INVALID_ARGUMENT`, also for an empty set. */
export function selectorMatchFromMessage(match: SelectorMatch): {
  readonly set: readonly Selector[];
  readonly match: SetMatch;
} {
  const set = selectorsFromMessage(match.selectors);
  if (set.length === 0) throw publicError("INVALID_ARGUMENT", "empty selector set");
  return { set, match: matchFromMessage(match.match) };
}

/** Reads a condition on federated trust domains. Throws `INVALID_ARGUMENT`, also for an empty set. */
export function federatesWithFromMessage(match: FederatesWithMatch): {
  readonly set: readonly TrustDomain[];
  readonly match: SetMatch;
} {
  const set = match.trustDomains.map(parseTrustDomain);
  if (set.length === 0) throw publicError("INVALID_ARGUMENT", "empty trust domain set");
  return { set, match: matchFromMessage(match.match) };
}

/** Writes an issued SVID. The hint stays empty: agents take it from the entry. */
export function svidToMessage(id: SpiffeId, issued: IssuedSvid): X509SVID {
  return {
    id: idToMessage(id),
    certChain: [...issued.chain],
    expiresAt: BigInt(Math.floor(issued.notAfter / 1000)),
    hint: "",
  };
}

function checkMember(trustDomain: TrustDomain, id: SpiffeId): void {
  if (trustDomainOf(id) !== trustDomain) {
    throw publicError("INVALID_ARGUMENT", `"${id}" is not a member of trust domain "${trustDomain}"`);
  }
}
