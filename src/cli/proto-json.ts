/** Prints messages as SPIRE's `-output json` does: protobuf JSON with the field names of the definitions and every field present. */

/** Protobuf JSON of a decoded message: snake case names, 64-bit integers as texts, bytes in base64, unset messages as null. */
export function protoJson(message: object): string {
  return JSON.stringify(convert(message));
}

function convert(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value === undefined || value === null) return null;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(convert);
  if (typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [snakeCase(name), convert(field)]));
}

/** `x509SvidTtl` to `x509_svid_ttl`; map keys are lower case already. */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
