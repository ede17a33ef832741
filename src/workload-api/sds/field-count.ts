/** Counts a request's fields before it is decoded: a hundred thousand tiny ones would hold everybody up for that long. */
import { type BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { findAgentError, publicError } from "../../lib/errors.ts";
import { SkippingReader } from "../../lib/rpc/skipping-reader.ts";

/** Envoy 1.40 sends about a thousand: one for each extension. */
const MOST_FIELDS = 8_192;
/** So deep the decoder goes. */
const DEEPEST = 100;

/** Which fields of a message hold messages that are decoded, by number. */
export type Shape = ReadonlyMap<number, () => Shape>;

const PLAIN: Shape = new Map();
const VALUE: Shape = new Map([
  [5, () => STRUCT],
  [6, () => LIST],
]);
const LIST: Shape = new Map([[1, () => VALUE]]);
const STRUCT_ENTRY: Shape = new Map([[2, () => VALUE]]);
const STRUCT: Shape = new Map([[1, () => STRUCT_ENTRY]]);
const STATUS: Shape = new Map([[3, () => PLAIN]]);
const BUILD_VERSION: Shape = new Map([[1, () => PLAIN]]);
const NODE: Shape = new Map([
  [3, () => STRUCT],
  [8, () => BUILD_VERSION],
]);

/** Of `DiscoveryRequest`. */
export const DISCOVERY: Shape = new Map([
  [2, () => NODE],
  [6, () => STATUS],
]);
/** Of `DeltaDiscoveryRequest`. */
export const DELTA_DISCOVERY: Shape = new Map([
  [1, () => NODE],
  [5, () => PLAIN],
  [7, () => STATUS],
]);

/** Throws `INVALID_ARGUMENT` for too many fields. What else is wrong with the bytes is the decoder's to say. */
export function checkFields(bytes: Uint8Array, shape: Shape): void {
  try {
    new FieldCount(new SkippingReader(bytes)).read(bytes.length, shape, 0);
  } catch (error) {
    if (findAgentError(error) !== undefined) throw error;
  }
}

/** Goes through a message as the decoder will, so that both end at the same place. */
class FieldCount {
  readonly #reader: BinaryReader;
  #count = 0;

  constructor(reader: BinaryReader) {
    this.#reader = reader;
  }

  read(end: number, shape: Shape, depth: number): void {
    const reader = this.#reader;
    if (depth >= DEEPEST) throw new Error("too deep");
    while (reader.pos < end) {
      const tag = reader.uint32();
      if (++this.#count > MOST_FIELDS) {
        throw publicError("INVALID_ARGUMENT", `request has more than ${MOST_FIELDS} fields`);
      }
      // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- the reader refuses what is none
      const type = (tag & 7) as WireType;
      const below = type === WireType.LengthDelimited ? shape.get(tag >>> 3) : undefined;
      if (below !== undefined) {
        const length = reader.uint32();
        this.read(reader.pos + length, below(), depth + 1);
        continue;
      }
      if (type === WireType.EndGroup || tag === 0) return;
      // Whatever a group holds would not be counted, and nobody sends one.
      if (type === WireType.StartGroup) throw publicError("INVALID_ARGUMENT", "request is no valid message");
      reader.skip(type);
    }
  }
}
