/** The string types of X.509 names. */
import { isUtf8 } from "node:buffer";
import { malformed } from "./der-error.ts";
import { Tag } from "./tags.ts";

const PRINTABLE = /^[A-Za-z0-9 '()+,./:=?-]*$/;

/** Whether a PrintableString may hold the text (X.680 41.4). */
export function isPrintableString(text: string): boolean {
  return PRINTABLE.test(text);
}

/**
 * The text of a PrintableString, UTF8String or IA5String; `undefined` for other types, which names may have but which
 * we do not read. Throws `MALFORMED` when bytes are not of the type.
 */
export function decodeText(tag: number, content: Uint8Array): string | undefined {
  switch (tag) {
    case Tag.PRINTABLE_STRING: {
      const text = latin1(content);
      // `*`, `@`, `&` and `_` are not allowed, and are written by many.
      if (!/^[A-Za-z0-9 '()+,./:=?*@&_-]*$/.test(text)) throw malformed("bad PrintableString");
      return text;
    }
    case Tag.IA5_STRING:
      return ia5(content);
    case Tag.UTF8_STRING:
      if (!isUtf8(content)) throw malformed("bad UTF8String");
      return buffer(content).toString("utf8");
    default:
      return undefined;
  }
}

/** ASCII text without control characters. Throws `MALFORMED`. */
export function ia5(content: Uint8Array): string {
  const text = latin1(content);
  if (!/^[\x20-\x7e]*$/.test(text)) throw malformed("bad IA5String");
  return text;
}

function latin1(content: Uint8Array): string {
  return buffer(content).toString("latin1");
}

/** The same bytes as a Buffer; nothing is copied. */
function buffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
