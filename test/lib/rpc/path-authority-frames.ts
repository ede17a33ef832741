/** Bytes of HTTP/2 as clients send them first, for what looks at them. */
import { frame } from "./frames.ts";

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** What grpc-java 1.80 on Netty announces, and opens the connection's window by. */
export const JAVA_SETTINGS = frame(4, 0, 0, Buffer.from("000200000000000300000000000400100000000600002000", "hex"));
/** What gRPC's C core 1.85 announces. */
export const C_CORE_SETTINGS = frame(
  4,
  0,
  0,
  Buffer.from("000200000000000300000000000400400000000500400000000600004000fe0300000001", "hex"),
);

/** A literal field with an indexed name; `kind` is the first byte without the index: 0x40, 0x00 or 0x10. */
export function literal(kind: number, index: number, value: string): Buffer {
  return Buffer.concat([Buffer.from([kind | index, value.length]), Buffer.from(value)]);
}

/** A literal field with a name of its own. */
export function named(name: string, value: string): Buffer {
  return Buffer.concat([
    Buffer.from([0x40, name.length]),
    Buffer.from(name),
    Buffer.from([value.length, ...Buffer.from(value)]),
  ]);
}

/** The fields of a call: scheme http, POST, the authority, the path and one with a name of its own. */
export function fields(authority: Buffer): Buffer {
  const path = literal(0x40, 4, "/SpiffeWorkloadAPI/FetchX509SVID");
  return Buffer.concat([Buffer.from([0x86, 0x83]), authority, path, named("x-path", "/not/an/authority")]);
}

/** What a client sends at first, with these frames behind. */
export function connection(...frames: readonly Buffer[]): Buffer {
  return Buffer.concat([PREFACE, JAVA_SETTINGS, ...frames]);
}
