/** Writes PEM text (RFC 7468). */

const LINE = 64;

/** Wraps DER as PEM, with a final newline. */
export function pemEncode(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der).toString("base64");
  const lines = base64.match(new RegExp(`.{1,${LINE}}`, "g")) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
