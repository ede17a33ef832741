/** GeneralName: the alternatives of a subject alternative name or a name constraint (RFC 5280 4.2.1.6). */
import { malformed } from "./der-error.ts";
import type { DerReader } from "./der-reader.ts";
import { type DistinguishedName, readName } from "./name.ts";
import { ia5 } from "./strings.ts";
import { contextConstructed, contextPrimitive } from "./tags.ts";

/** One general name. `ip` is 4 or 16 bytes in a SAN, 8 or 32 (address and mask) in a constraint. */
export type GeneralName =
  | { readonly type: "email" | "dns" | "uri"; readonly value: string }
  | { readonly type: "ip"; readonly value: Uint8Array }
  | { readonly type: "directory"; readonly value: DistinguishedName }
  /** otherName, x400Address, ediPartyName and registeredID, by their tag and unread. */
  | { readonly type: "other"; readonly tag: number; readonly value: Uint8Array };

/** Most names in one extension. */
export const MAX_GENERAL_NAMES = 1024;

/** Tags of the alternatives that we write or read. */
export const GeneralNameTag = {
  email: contextPrimitive(1),
  dns: contextPrimitive(2),
  directory: contextConstructed(4),
  uri: contextPrimitive(6),
  ip: contextPrimitive(7),
} as const;

/** Lengths of an address in a subject alternative name, and of address and mask in a constraint. */
export const SAN_IP_BYTES: readonly number[] = [4, 16];
export const CONSTRAINT_IP_BYTES: readonly number[] = [8, 32];

/** The alternatives that are left unread: otherName, x400Address, ediPartyName, registeredID. */
const UNREAD: ReadonlySet<number> = new Set([
  contextConstructed(0),
  contextConstructed(3),
  contextConstructed(5),
  contextPrimitive(8),
]);

/** Reads one name. `ipBytes` are the lengths that an IP address may have. Throws `MALFORMED`. */
export function readGeneralName(reader: DerReader, ipBytes: readonly number[]): GeneralName {
  const tag = reader.peek();
  switch (tag) {
    case GeneralNameTag.email:
      return { type: "email", value: ia5(reader.content(tag)) };
    case GeneralNameTag.dns:
      return { type: "dns", value: ia5(reader.content(tag)) };
    case GeneralNameTag.uri:
      return { type: "uri", value: ia5(reader.content(tag)) };
    case GeneralNameTag.ip: {
      const value = reader.content(tag);
      if (!ipBytes.includes(value.length)) throw malformed("bad length of an IP address");
      return { type: "ip", value };
    }
    case GeneralNameTag.directory:
      return { type: "directory", value: reader.inside(tag, readName) };
    default:
      if (!UNREAD.has(tag)) throw malformed("no such general name");
      return { type: "other", tag, value: reader.content(tag) };
  }
}
