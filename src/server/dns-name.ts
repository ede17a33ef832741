/** DNS names as SVIDs may carry them: ASCII, letter-digit-hyphen labels, at most one wildcard as the first label. */
import { publicError } from "../lib/errors.ts";

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;
/** Longest name in text form (RFC 1035 2.3.4, less the root label). */
const MAX_NAME = 253;

/** Returns the name if it is well formed. Throws `INVALID_ARGUMENT` with SPIRE's words. */
export function checkDnsName(name: string): string {
  if (Buffer.byteLength(name) !== name.length) throw wrong("name must be ascii");
  const stars = name.split("*").length - 1;
  if (stars > 1) throw wrong("too many wildcards");
  if (stars === 1 && !name.startsWith("*.")) throw wrong("wildcard must be first label");
  const plain = stars === 1 ? name.slice(2) : name;
  if (plain.trim() === "") throw wrong("empty or only whitespace");
  if (plain.endsWith(".")) throw wrong("domain ends with dot");
  if (plain.length > MAX_NAME) throw wrong(`idna error: "${name.slice(0, 64)}..." is longer than ${MAX_NAME} bytes`);
  for (const label of plain.split(".")) {
    if (!LABEL.test(label) || isReservedLabel(label)) throw wrong(`idna error: invalid label "${label}"`);
  }
  return name;
}

/** Throws `INVALID_ARGUMENT` when a wildcard of the list covers another name of it. */
export function checkWildcardOverlap(names: readonly string[]): void {
  const all = new Set(names);
  for (const name of all) {
    if (!name.startsWith("*") && all.has(`*${name.slice(name.indexOf("."))}`) && name.includes(".")) {
      throw wrong(`name "${name}" overlaps with an existing wildcard name in the list: wildcard overlap`);
    }
  }
}

/** Hyphens in third and fourth place announce an encoding; only that of IDNA exists (RFC 5891 4.2.3.1). */
function isReservedLabel(label: string): boolean {
  return label.slice(2, 4) === "--" && !label.toLowerCase().startsWith("xn--");
}

function wrong(why: string): Error {
  return publicError("INVALID_ARGUMENT", why);
}
