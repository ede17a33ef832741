/** What is declared in .proto files, read from their serialised `google.protobuf.FileDescriptorProto`s. */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** A file and what it declares. */
export interface ProtoFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Names of the files it imports. */
  readonly imports: readonly string[];
  /** Full names of its services, methods, messages, fields and enums. */
  readonly symbols: readonly string[];
}

/** A tag path: field numbers of `descriptor.proto` and what lies below them. */
interface Shape {
  readonly name?: number;
  readonly nested: ReadonlyMap<number, () => Shape>;
}

const LEAF: Shape = { name: 1, nested: new Map() };
const SERVICE: Shape = { name: 1, nested: new Map([[2, () => LEAF]]) };
const MESSAGE: Shape = {
  name: 1,
  nested: new Map<number, () => Shape>([
    [2, () => LEAF],
    [3, () => MESSAGE],
    [4, () => LEAF],
    [6, () => LEAF],
    [8, () => LEAF],
  ]),
};
const FILE: Shape = {
  nested: new Map<number, () => Shape>([
    [4, () => MESSAGE],
    [5, () => LEAF],
    [6, () => SERVICE],
    [7, () => LEAF],
  ]),
};

/** Reads one file's descriptor. Throws when it is malformed. */
export function readProtoFile(name: string, bytes: Uint8Array): ProtoFile {
  const fields = fieldsOf(bytes);
  const text = (field: number): string[] =>
    fields.filter(([number]) => number === field).map(([, value]) => Buffer.from(value).toString());
  return { name, bytes, imports: text(3), symbols: symbolsBelow(fields, FILE, text(2)[0] ?? "") };
}

function symbolsBelow(fields: readonly Field[], shape: Shape, scope: string): string[] {
  return fields.flatMap(([number, value]) => {
    const below = shape.nested.get(number)?.();
    if (below === undefined) return [];
    const inner = fieldsOf(value);
    const own = inner.find(([field]) => field === below.name)?.[1];
    const name = join(scope, Buffer.from(own ?? []).toString());
    return [name, ...symbolsBelow(inner, below, name)];
  });
}

type Field = readonly [number: number, value: Uint8Array];

/** The length-delimited fields of a message; others are skipped. */
function fieldsOf(bytes: Uint8Array): Field[] {
  const reader = new BinaryReader(bytes);
  const fields: Field[] = [];
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === WireType.LengthDelimited) fields.push([number, reader.bytes()]);
    else reader.skip(type);
  }
  return fields;
}

function join(scope: string, name: string): string {
  return scope === "" ? name : `${scope}.${name}`;
}
