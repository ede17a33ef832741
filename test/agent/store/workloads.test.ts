/** What is stored of workloads comes back as it was. */
import { expect, test } from "vitest";
import { WorkloadCodec, type WorkloadSnapshot } from "../../../src/agent/store/workloads.ts";
import { silentLogger } from "../../../src/lib/log.ts";
import { TD } from "../entries.ts";
import { RecordingLogger } from "../harness.ts";
import { PARTNER, plain, snapshot } from "./snapshot.ts";

async function bytesOf(codec: WorkloadCodec, from: WorkloadSnapshot): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of codec.encode(from)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

test("a snapshot in many pieces is one when it is read, and again when that is written", async () => {
  const before = await snapshot(70);
  const codec = new WorkloadCodec(silentLogger);
  const bytes = await bytesOf(codec, before);
  const after = codec.decode(bytes, TD);
  expect(plain(after)).toEqual(plain(before));
  expect(await bytesOf(codec, after)).toEqual(bytes);
});

test("another trust domain's is refused", async () => {
  const codec = new WorkloadCodec(silentLogger);
  const bytes = await bytesOf(codec, await snapshot());
  expect(() => codec.decode(bytes, PARTNER)).toThrow("the bundle of example.org");
  expect(() => codec.decode(Buffer.from("nonsense"), TD)).toThrow();
  expect(() => codec.decode(Buffer.alloc(0), TD)).toThrow("no bundle");
});

test("an entry that cannot be read is left out, and the others are there", async () => {
  const log = new RecordingLogger();
  const codec = new WorkloadCodec(log);
  const before = await snapshot();
  const [first, ...rest] = before.entries;
  if (first === undefined) throw new Error("there are three");
  const broken = { ...first, entry: { ...first.entry, selectors: [] } };
  const after = codec.decode(await bytesOf(codec, { ...before, entries: [broken, ...rest] }), TD);
  expect([...after.entries].map(({ entry }) => entry.entryId)).toEqual(["entry-1", "entry-2"]);
  expect(log.text).toContain("no selectors");
});
