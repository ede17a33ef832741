/**
 * Whether a name lies in a subtree of a name constraint (RFC 5280 4.2.1.10).
 *
 * Implementations disagree on what a subtree covers: for URIs RFC 5280 takes `example.org` as that host alone, Go adds
 * all hosts below it; for DNS names a leading dot is Go's and OpenSSL's invention. Where they disagree we permit what
 * the narrow reading permits and exclude what the wide one excludes, so that no reading of a CA's constraint is
 * stricter than ours. SPIFFE trust domains fit the narrow reading: `a.example.org` has nothing to do with
 * `example.org`.
 */
import { isIPv4 } from "node:net";
import type { GeneralName } from "./general-names.ts";
import { type DistinguishedName, relativeNames } from "./name.ts";

/** What a subtree is for: the narrow reading permits, the wide one excludes. */
export type SubtreeUse = "permitted" | "excluded";

const HOST = /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/;
/** A URI with an authority that is a bare host, with or without port: no user information, no brackets, no escapes. */
const URI_HOST = /^[a-z][a-z0-9+.-]*:\/\/([a-z0-9._-]+)(?::\d*)?(?:[/?#]|$)/i;
/** The first twelve bytes of an IPv4 address mapped into IPv6 (RFC 4291 2.5.5.2). */
const MAPPED_IPV4 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

/**
 * Whether `name` lies in `subtree`, both of the same kind. `undefined` when that cannot be told, be it that the kind is
 * not supported or that one of them is not of the form the kind asks for; such certificates are refused (4.2.1.10).
 */
export function matchName(name: GeneralName, subtree: GeneralName, use: SubtreeUse): boolean | undefined {
  if (name.type === "uri" && subtree.type === "uri") return matchUri(name.value, subtree.value, use);
  if (name.type === "dns" && subtree.type === "dns") return matchDns(name.value, subtree.value, use);
  if (name.type === "ip" && subtree.type === "ip") return matchIp(name.value, subtree.value);
  if (name.type === "directory" && subtree.type === "directory") return matchDirectory(name.value, subtree.value);
  return undefined;
}

/** The host of the URI, which must be a domain name and no address. */
function matchUri(uri: string, subtree: string, use: SubtreeUse): boolean | undefined {
  const host = URI_HOST.exec(uri)?.[1]?.toLowerCase();
  if (host === undefined || !HOST.test(host) || isIPv4(host)) return undefined;
  const base = subtree.toLowerCase();
  if (use === "excluded" && base === "") return true;
  const bare = base.startsWith(".") ? base.slice(1) : base;
  if (!HOST.test(bare)) return undefined;
  if (use === "excluded") return host === bare || host.endsWith(`.${bare}`);
  return base === bare ? host === bare : host.endsWith(base);
}

/** The name itself and names below it. A wildcard stands for every name it could be. */
function matchDns(name: string, subtree: string, use: SubtreeUse): boolean | undefined {
  const full = name.toLowerCase();
  const isWildcard = full.startsWith("*.");
  const host = isWildcard ? full.slice(2) : full;
  if (!HOST.test(host)) return undefined;
  const base = subtree.toLowerCase();
  if (base === "") return true;
  const bare = base.startsWith(".") ? base.slice(1) : base;
  if (!HOST.test(bare)) return undefined;
  if (host.endsWith(`.${bare}`)) return true;
  if (use === "excluded") return host === bare || (isWildcard && bare.endsWith(`.${host}`));
  return host === bare && (isWildcard || base === bare);
}

/** Address under mask. IPv4 in IPv6 clothes could slip past an IPv4 constraint, so it is never judged. */
function matchIp(address: Uint8Array, subtree: Uint8Array): boolean | undefined {
  if (address.length === 16 && Buffer.compare(address.subarray(0, 12), MAPPED_IPV4) === 0) return undefined;
  const half = subtree.length / 2;
  if (address.length !== half) return false;
  return address.every((byte, i) => ((byte ^ (subtree[i] ?? 0)) & (subtree[half + i] ?? 0)) === 0);
}

/** The subtree's relative names are the first of the name's, compared as RFC 5280 7.1 asks. */
function matchDirectory(name: DistinguishedName, subtree: DistinguishedName): boolean | undefined {
  const names = comparableNames(name);
  const bases = comparableNames(subtree);
  if (names === undefined || bases === undefined) return undefined;
  return bases.every((base, i) => base === names[i]);
}

/** One text per relative name, equal where the names are; `undefined` when a value is of a string type we do not read. */
function comparableNames(name: DistinguishedName): readonly string[] | undefined {
  const rdns = relativeNames(name.der);
  if (rdns.flat().some(({ text }) => text === undefined)) return undefined;
  return rdns.map((attributes) =>
    JSON.stringify(attributes.map(({ type, text }) => `${type}=${foldText(text ?? "")}`).toSorted(compare)),
  );
}

/** Case and white space do not count (RFC 5280 7.1, RFC 4518). */
function foldText(text: string): string {
  return text.normalize("NFKC").toLowerCase().trim().replaceAll(/\s+/g, " ");
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
