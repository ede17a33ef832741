/** Reads messages of which little is of interest. */
import { WireType } from "@bufbuild/protobuf/wire";
import { RequestReader } from "./typed.ts";

const NOTHING = new Uint8Array(0);

/**
 * Passes over unknown fields without making a view of each, as the library's reader does: every request of Envoy's names
 * some 500 extensions. Accepts and refuses the same bytes.
 */
export class SkippingReader extends RequestReader {
  override skip(wireType: WireType, fieldNo?: number, recursionLimit?: number): Uint8Array {
    if (wireType !== WireType.LengthDelimited) return super.skip(wireType, fieldNo, recursionLimit);
    const length = this.uint32();
    this.pos += length;
    if (this.pos > this.len) throw new RangeError("premature EOF");
    return NOTHING;
  }
}
