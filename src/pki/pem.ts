/** PEM text (RFC 7468), read in its strict form but with room for text between blocks. */
import { AgentError } from "../lib/errors.ts";
import { decodeBase64 } from "./base64.ts";

export { pemEncode } from "../lib/pem-encode.ts";

const MAX_TEXT = 4 * 1024 * 1024;
const MAX_REFUSAL = 300;
const BEGIN = /^-----BEGIN ([A-Z0-9 ]+)-----$/;

/**
 * All blocks of that label, in order; none is no error, other labels are skipped. Throws `MALFORMED` for damaged blocks
 * of any label, for headers (encrypted keys), and for more than 4 MiB.
 */
export function pemDecode(text: string, label: string): Uint8Array[] {
  return pemBlocks(text).flatMap((block) => (block.label === label ? [block.der] : []));
}

/** All blocks with their labels, in order. Throws as `pemDecode`. */
export function pemBlocks(text: string): { readonly label: string; readonly der: Uint8Array }[] {
  if (text.length > MAX_TEXT) throw malformedPem(`more than ${MAX_TEXT} bytes`);
  const blocks: { label: string; der: Uint8Array }[] = [];
  let open: { label: string; base64: string[] } | undefined;
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (open === undefined) {
      const found = BEGIN.exec(line)?.[1];
      if (found !== undefined) open = { label: found, base64: [] };
      else if (line.startsWith("-----")) throw malformedPem(`line ${index + 1}: a block that does not begin`);
    } else if (line === `-----END ${open.label}-----`) {
      const der = decodeBase64(open.base64.join(""), "base64");
      if (der === undefined || der.length === 0) throw malformedPem(`block ending in line ${index + 1} is no base64`);
      blocks.push({ label: open.label, der });
      open = undefined;
    } else if (line.includes(":")) {
      throw malformedPem(`line ${index + 1}: headers, as encrypted keys have, are not read`);
    } else open.base64.push(line);
  }
  if (open !== undefined) throw malformedPem(`block ${open.label} has no end`);
  return blocks;
}

/** Labels are the sender's: the log takes so much of them. */
function malformedPem(what: string): AgentError {
  return new AgentError("MALFORMED", `PEM: ${what.length > MAX_REFUSAL ? `${what.slice(0, MAX_REFUSAL)}…` : what}`);
}
