/** HTTP/2 bytes by hand, for peers that do not behave. */

/** Begins every connection: preface and empty SETTINGS. */
export const PREFACE = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  frame(4, 0, 0, Buffer.alloc(0)),
]);

/** A frame of a type, with flags, on a stream. */
export function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header block of literal fields without Huffman coding; names and values up to 126 bytes, taken as latin1. */
export function fields(list: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(
    Object.entries(list).flatMap(([name, value]) => [
      Buffer.from([0, name.length]),
      Buffer.from(name, "latin1"),
      Buffer.from([value.length]),
      Buffer.from(value, "latin1"),
    ]),
  );
}

/** The header fields of a gRPC call. */
export function callFields(path: string, more: Readonly<Record<string, string>> = {}): Buffer {
  return fields({
    ":method": "POST",
    ":scheme": "http",
    ":path": path,
    ":authority": "localhost",
    "content-type": "application/grpc",
    te: "trailers",
    ...more,
  });
}

/** A connection with one call that has an empty request message. */
export function rawCall(path: string, timeout: string): Buffer {
  return Buffer.concat([
    PREFACE,
    frame(1, 4, 1, callFields(path, { "grpc-timeout": timeout })),
    frame(0, 1, 1, Buffer.alloc(5)),
  ]);
}
