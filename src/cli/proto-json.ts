/** Prints messages as SPIRE's `-output json` does: protobuf JSON with the field names of the definitions and every field present, keys in order. */

/** Protobuf JSON of a decoded message: snake case names, 64-bit integers as texts, bytes in base64. Unset messages are left out. */
export function protoJson(message: object): string {
  return JSON.stringify(convert(message));
}

function convert(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(convert);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .map(([name, field]) => [snakeCase(name), convert(field)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** `x509SvidTtl` to `x509_svid_ttl`; map keys are lower case already. */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
