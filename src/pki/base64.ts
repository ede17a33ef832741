/** Base64 without tolerance: Node's decoder skips what it does not know. */

/** The bytes, or `undefined` unless the text is the one canonical encoding of them. */
export function decodeBase64(text: string, alphabet: "base64" | "base64url"): Uint8Array | undefined {
  const bytes = Buffer.from(text, alphabet);
  return bytes.toString(alphabet) === text ? new Uint8Array(bytes) : undefined;
}
