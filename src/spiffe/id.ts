/** SPIFFE IDs and trust domains: parsed once at the edge, trusted as types inside (SPIFFE-ID standard, section 2). */
import type { Brand } from "../lib/brand.ts";
import { publicError } from "../lib/errors.ts";

/** `spiffe://trust-domain/path`, valid by construction. */
export type SpiffeId = Brand<string, "SpiffeId">;

/** A bare trust domain name such as `example.org`, valid by construction. */
export type TrustDomain = Brand<string, "TrustDomain">;

const SCHEME = "spiffe://";
/** Longest ID that must be supported (SPIFFE-ID 2.3); longer ones are refused. */
const MAX_ID_BYTES = 2048;
/** Longest trust domain name (SPIFFE-ID 2.3). */
const MAX_TRUST_DOMAIN_BYTES = 255;
const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const PATH_SEGMENT = /^[a-zA-Z0-9._-]+$/;

/** Parses a trust domain: the bare name, or a SPIFFE ID of which the trust domain is taken. Throws `INVALID_ARGUMENT`. */
export function parseTrustDomain(text: string): TrustDomain {
  if (text.startsWith(SCHEME)) return trustDomainOf(parseSpiffeId(text));
  checkTrustDomain(text);
  return text as TrustDomain;
}

/** Parses a SPIFFE ID, with or without a path. Throws `INVALID_ARGUMENT` naming the rule that failed. */
export function parseSpiffeId(text: string): SpiffeId {
  if (text === "") throw publicError("INVALID_ARGUMENT", "SPIFFE ID cannot be empty");
  if (text.length > MAX_ID_BYTES)
    throw publicError("INVALID_ARGUMENT", `SPIFFE ID is longer than ${MAX_ID_BYTES} bytes`);
  if (!text.startsWith(SCHEME)) throw publicError("INVALID_ARGUMENT", `scheme is missing or invalid: want "${SCHEME}"`);
  const rest = text.slice(SCHEME.length);
  const slash = rest.indexOf("/");
  checkTrustDomain(slash < 0 ? rest : rest.slice(0, slash));
  if (slash >= 0) checkPath(rest.slice(slash));
  return text as SpiffeId;
}

/** Builds an ID from its parts, as messages carry them. `path` is empty or starts with `/`. Throws `INVALID_ARGUMENT`. */
export function makeSpiffeId(trustDomain: TrustDomain, path: string): SpiffeId {
  if (path !== "") checkPath(path);
  const id = `${SCHEME}${trustDomain}${path}`;
  if (id.length > MAX_ID_BYTES) throw publicError("INVALID_ARGUMENT", `SPIFFE ID is longer than ${MAX_ID_BYTES} bytes`);
  return id as SpiffeId;
}

/** The trust domain of an ID. */
export function trustDomainOf(id: SpiffeId): TrustDomain {
  const rest = id.slice(SCHEME.length);
  const slash = rest.indexOf("/");
  return (slash < 0 ? rest : rest.slice(0, slash)) as TrustDomain;
}

/** The path of an ID: empty, or starting with `/`. */
export function pathOf(id: SpiffeId): string {
  const slash = id.indexOf("/", SCHEME.length);
  return slash < 0 ? "" : id.slice(slash);
}

/** The ID of a trust domain itself, `spiffe://name`, as bundle maps key it. */
export function trustDomainId(trustDomain: TrustDomain): SpiffeId {
  return `${SCHEME}${trustDomain}` as SpiffeId;
}

/** The server's own ID, `spiffe://td/spire/server`: also the parent of node aliases. */
export function serverId(trustDomain: TrustDomain): SpiffeId {
  return `${SCHEME}${trustDomain}/spire/server` as SpiffeId;
}

/** An agent's ID, `spiffe://td/spire/agent/<attestor>/<rest>`. Throws `INVALID_ARGUMENT` for a bad path. */
export function agentId(trustDomain: TrustDomain, attestor: string, rest: string): SpiffeId {
  return makeSpiffeId(trustDomain, `/spire/agent/${attestor}/${rest}`);
}

/** Whether the path is `/spire` or below it, which no workload may have. */
export function isReserved(id: SpiffeId): boolean {
  const path = pathOf(id);
  return path === "/spire" || path.startsWith("/spire/");
}

/** Whether the ID is one of an agent: below `/spire/agent/`. */
export function isAgentId(id: SpiffeId): boolean {
  return pathOf(id).startsWith("/spire/agent/");
}

function checkTrustDomain(name: string): void {
  if (name === "") throw publicError("INVALID_ARGUMENT", "trust domain is missing");
  if (name.length > MAX_TRUST_DOMAIN_BYTES) {
    throw publicError("INVALID_ARGUMENT", `trust domain is longer than ${MAX_TRUST_DOMAIN_BYTES} bytes`);
  }
  if (!TRUST_DOMAIN.test(name)) {
    throw publicError(
      "INVALID_ARGUMENT",
      "trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores",
    );
  }
}

function checkPath(path: string): void {
  if (!path.startsWith("/")) throw publicError("INVALID_ARGUMENT", "path must have a leading slash");
  if (path.endsWith("/")) throw publicError("INVALID_ARGUMENT", "path cannot have a trailing slash");
  for (const segment of path.slice(1).split("/")) {
    if (segment === "") throw publicError("INVALID_ARGUMENT", "path cannot contain empty segments");
    if (segment === "." || segment === "..") throw publicError("INVALID_ARGUMENT", "path cannot contain dot segments");
    if (!PATH_SEGMENT.test(segment)) {
      throw publicError(
        "INVALID_ARGUMENT",
        "path segment characters are limited to letters, numbers, dots, dashes, and underscores",
      );
    }
  }
}
