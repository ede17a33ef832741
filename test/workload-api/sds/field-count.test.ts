/** Requests of tiny fields, which cost most of all to decode. */
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { describe, expect, test } from "vitest";
import { DeltaDiscoveryRequest, DiscoveryRequest } from "../../../src/gen/envoy/service/discovery/v3/discovery.ts";
import { checkFields, DELTA_DISCOVERY, DISCOVERY } from "../../../src/workload-api/sds/field-count.ts";
import { decodeDeltaDiscovery, decodeDiscovery } from "../../../src/workload-api/sds/requests.ts";

/** A message in a field. */
const field = (number: number, content: Uint8Array): Uint8Array =>
  new BinaryWriter()
    .uint32((number << 3) | 2)
    .bytes(content)
    .finish();
const many = (part: readonly number[], count: number): Uint8Array =>
  Buffer.concat(Array(count).fill(Buffer.from(part)));
const metadata = (value: Uint8Array): Uint8Array =>
  field(3, field(1, Buffer.concat([field(1, Buffer.from("key")), field(2, value)])));
const EMPTY = (number: number): number[] => [(number << 3) | 2, 0];

const NODES: Readonly<Record<string, (count: number) => Uint8Array>> = {
  "a list in the metadata": (count) => metadata(field(6, many(EMPTY(1), count))),
  "a struct in the metadata": (count) => metadata(field(5, many(EMPTY(1), count))),
  "lists below lists": (count) => metadata(field(6, field(1, field(6, many(EMPTY(1), count))))),
  "metadata again and again": (count) => many(EMPTY(3), count),
  "keys of metadata": (count) => field(3, many(EMPTY(1), count)),
  extensions: (count) => many(EMPTY(9), count),
  versions: (count) => many(EMPTY(8), count),
};

describe.each([
  ["DiscoveryRequest", DISCOVERY, decodeDiscovery, 2, 3, 6],
  ["DeltaDiscoveryRequest", DELTA_DISCOVERY, decodeDeltaDiscovery, 1, 3, 7],
] as const)("a %s of too many fields is refused:", (_name, shape, decode, node, names, status) => {
  const refused = expect.objectContaining({
    code: "INVALID_ARGUMENT",
    publicMessage: "request has more than 8192 fields",
  });

  test.each(Object.entries(NODES))("%s", (_what, make) => {
    expect(() => decode(field(node, make(8_000)))).not.toThrow();
    expect(() => decode(field(node, make(8_192)))).toThrow(refused);
  });

  test.each([
    ["names", many(EMPTY(names), 8_193)],
    ["nodes", many(EMPTY(node), 8_193)],
    ["complaints", many(EMPTY(status), 8_193)],
    ["details of a complaint", field(status, many(EMPTY(3), 8_192))],
    ["what nobody knows", many([0x78, 1], 8_193)],
  ])("%s", (_what, bytes) => {
    expect(() => decode(bytes)).toThrow(refused);
  });

  test("groups, which nobody sends, are no valid message", () => {
    expect(() => decode(Uint8Array.of(0x7b, 0x7c))).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", publicMessage: "request is no valid message" }),
    );
  });

  test("what ends too early is the decoder's to refuse", () => {
    expect(() => checkFields(Uint8Array.of(0x12, 5, 1), shape)).not.toThrow();
    expect(() => decode(Uint8Array.of(0x0a, 5, 1))).toThrow(/request is no valid message/);
  });
});

test("a request as Envoy sends it passes", () => {
  const extension = field(9, Buffer.from("envoy.extension of some length, with its category and types"));
  const node = Buffer.concat([Buffer.concat(Array(1_500).fill(extension)), metadata(Uint8Array.of(0x20, 1))]);
  const request = DiscoveryRequest.encode(DiscoveryRequest.fromPartial({ resourceNames: ["default"] })).finish();
  expect(decodeDiscovery(Buffer.concat([field(2, node), request]))).toMatchObject({
    node: { metadata: { key: true } },
    resourceNames: ["default"],
  });
  const delta = DeltaDiscoveryRequest.encode(
    DeltaDiscoveryRequest.fromPartial({
      initialResourceVersions: Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`n${index}`, "v"])),
    }),
  ).finish();
  expect(Object.keys(decodeDeltaDiscovery(delta).initialResourceVersions)).toHaveLength(1_000);
});
