/** Distinguished names: the few attributes we write, and names as they were read. */
import { AgentError } from "../lib/errors.ts";

/** A name to be written; attributes appear in this order, as Go and SPIRE write them. */
export interface Name {
  readonly country?: readonly string[];
  readonly organization?: readonly string[];
  readonly organizationalUnit?: readonly string[];
  readonly commonName?: string;
  readonly serialNumber?: string;
  /** x509UniqueIdentifier (2.5.4.45), as SPIRE's `uniqueid` composer writes it. */
  readonly uniqueId?: string;
}

/** A name as it stands in a certificate. Two names are the same when their bytes are. */
export interface DistinguishedName {
  readonly der: Uint8Array;
  /** RFC 4514 text, for people: last attribute first. */
  readonly text: string;
}

/** Encodes a name. Throws `INVALID_ARGUMENT` for text that no certificate may carry. */
export function encodeName(_name: Name): Uint8Array {
  throw new AgentError("INTERNAL", "not built yet");
}

/** The attributes of a parsed name that `Name` knows; others are left out. */
export function nameOf(_dn: DistinguishedName): Name {
  throw new AgentError("INTERNAL", "not built yet");
}
