/** ASN.1 tags (X.680): identifier octets as they stand in DER. */

/** Universal tags, constructed bit included where DER demands it. */
export const Tag = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  NULL: 0x05,
  OID: 0x06,
  UTF8_STRING: 0x0c,
  PRINTABLE_STRING: 0x13,
  IA5_STRING: 0x16,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  SEQUENCE: 0x30,
  SET: 0x31,
} as const;

/** `[n]`, context-specific and primitive. */
export function contextPrimitive(n: number): number {
  return 0x80 | n;
}

/** `[n]`, context-specific and constructed. */
export function contextConstructed(n: number): number {
  return 0xa0 | n;
}
