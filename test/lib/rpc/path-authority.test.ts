/** Authorities that are paths, as grpc-java sends them. RFC 9110 §4.2.1 has no slash in an authority. */
import { describe, expect, test } from "vitest";
import { mayNamePaths, PathAuthorities } from "../../../src/lib/rpc/path-authority.ts";
import { frame } from "./frames.ts";
import {
  C_CORE_SETTINGS,
  connection,
  fields,
  JAVA_SETTINGS,
  literal,
  named,
  PREFACE,
} from "./path-authority-frames.ts";

const PATH = "/tmp/agent/api.sock";
const GOOD = "-tmp-agent-api.sock";
const HEADERS = 1;
const END_HEADERS = 4;
const headers = (authority: Buffer, flags = END_HEADERS): Buffer => frame(HEADERS, flags, 1, fields(authority));

/** All that comes out, in pieces of this size. */
function through(bytes: Buffer, size = bytes.length): Buffer {
  const authorities = new PathAuthorities();
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size)
    out.push(authorities.push(Buffer.from(bytes.subarray(at, at + size))));
  return Buffer.concat(out);
}

describe("whose connection it may be", () => {
  test.for([
    ["Java's", Buffer.concat([PREFACE, JAVA_SETTINGS]), true],
    ["the C core's", Buffer.concat([PREFACE, C_CORE_SETTINGS]), false],
    ["one without settings", Buffer.concat([PREFACE, frame(4, 0, 0, Buffer.alloc(0))]), false],
    ["one that begins with another frame", Buffer.concat([PREFACE, frame(6, 0, 0, Buffer.alloc(8))]), false],
    ["one of which little came", PREFACE.subarray(0, 20), false],
    ["one whose settings are cut", Buffer.concat([PREFACE, JAVA_SETTINGS]).subarray(0, 50), false],
    ["nothing", Buffer.alloc(0), false],
    ["HTTP/1", Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3)), false],
  ] as const)("%s", ([_name, bytes, expected]) => {
    expect(mayNamePaths(bytes)).toBe(expected);
  });
});

describe("a path", () => {
  test.for([
    ["with indexing", 0x40],
    ["without indexing", 0x00],
    ["never indexed", 0x10],
  ] as const)("%s loses its slashes and keeps its length; nothing else changes", ([_name, kind]) => {
    const given = connection(headers(literal(kind, 1, PATH)), frame(0, 1, 1, Buffer.from("/a/b")));
    const expected = connection(headers(literal(kind, 1, GOOD)), frame(0, 1, 1, Buffer.from("/a/b")));
    expect(through(given)).toEqual(expected);
  });

  test("under a name that is spelt out", () => {
    expect(through(connection(headers(named(":authority", PATH)))).includes(GOOD)).toBe(true);
  });

  test("in any pieces", () => {
    const call = headers(literal(0x40, 1, PATH));
    const given = connection(call, frame(0, 0, 1, Buffer.alloc(300, "/")), call);
    const expected = through(given);
    expect(expected.includes(PATH)).toBe(false);
    for (let size = 1; size < 60; size++) expect(through(given, size)).toEqual(expected);
  });

  test("behind padding and priority", () => {
    const block = fields(literal(0x40, 1, PATH));
    const payload = Buffer.concat([Buffer.from([3, 0, 0, 0, 0, 15]), block, Buffer.alloc(3)]);
    const given = connection(frame(HEADERS, END_HEADERS | 0x8 | 0x20, 1, payload));
    expect(through(given).includes(GOOD)).toBe(true);
  });

  test("with a length of more than one byte", () => {
    const path = `/${"a".repeat(200)}`;
    const value = Buffer.concat([Buffer.from([0x41, 0x7f, 201 - 127]), Buffer.from(path)]);
    expect(through(connection(headers(value))).includes(`-${"a".repeat(200)}`)).toBe(true);
  });
});

describe("what passes as it is", () => {
  test.for([
    ["an authority that is none", headers(literal(0x40, 1, "localhost"))],
    ["an authority with a slash further on, which is refused", headers(literal(0x40, 1, "a/b"))],
    ["Huffman's coding", headers(Buffer.from([0x41, 0x83, 0x2f, 0x2f, 0x2f]))],
    ["headers that go on in another frame", headers(literal(0x40, 1, PATH), 0)],
    ["a string that ends behind its frame", frame(HEADERS, END_HEADERS, 1, Buffer.from([0x41, 50, 0x2f]))],
    ["an integer without an end", frame(HEADERS, END_HEADERS, 1, Buffer.from([0x41, 0x7f, 0xff, 0xff, 0xff, 0xff]))],
    ["more padding than there is", frame(HEADERS, END_HEADERS | 0x8, 1, Buffer.from([200, 0x41, 1, 0x2f]))],
    ["a frame that is too large", frame(HEADERS, END_HEADERS, 1, Buffer.alloc(20_000, 0x2f))],
    ["nothing in the frame", frame(HEADERS, END_HEADERS, 1, Buffer.alloc(0))],
  ] as const)("%s", ([_name, bytes]) => {
    const given = connection(bytes, frame(0, 0, 1, Buffer.from("x")));
    for (const size of [given.length, 7, 1]) expect(through(given, size)).toEqual(given);
  });

  test("what is left of a frame is held until it is whole", () => {
    const authorities = new PathAuthorities();
    const given = connection(headers(literal(0x40, 1, PATH)));
    expect(authorities.push(Buffer.from(given.subarray(0, given.length - 1))).length).toBe(
      PREFACE.length + JAVA_SETTINGS.length,
    );
    expect(authorities.push(Buffer.from(given.subarray(given.length - 1))).includes(GOOD)).toBe(true);
  });
});
