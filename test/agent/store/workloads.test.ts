/** What is stored of workloads comes back as it was. */
import { expect, test } from "vitest";
import { WorkloadCodec, type WorkloadSnapshot } from "../../../src/agent/store/workloads.ts";
import { silentLogger } from "../../../src/lib/log.ts";
import { pkcs8Of } from "../../../src/pki/keys.ts";
import { parseSpiffeId, parseTrustDomain } from "../../../src/spiffe/id.ts";
import { TestCa } from "../../fakes/test-ca.ts";
import { authorized, TD } from "../entries.ts";
import { RecordingLogger } from "../harness.ts";

const PARTNER = parseTrustDomain("partner.org");

async function snapshot(count = 3): Promise<WorkloadSnapshot> {
  const ca = await TestCa.create(TD);
  const partner = await TestCa.create(PARTNER);
  const entries = [];
  for (let index = 0; index < count; index++) {
    const spiffeId = parseSpiffeId(`spiffe://example.org/web-${index}`);
    const entry = authorized(`entry-${index}`, ["unix:uid:1", `unix:gid:${index}`], {
      spiffeId,
      federatesWith: [PARTNER],
      revision: 2n,
    });
    // One has none yet, and the SVID of another is of an older revision.
    if (index === 1) entries.push({ entry });
    else {
      const svid = await ca.svid(spiffeId);
      entries.push({ entry, issued: { entry: { ...entry, revision: 1n }, svid, rotateAt: svid.notAfter - 1_000 } });
    }
  }
  return {
    bundle: ca.bundle(),
    federatedBundles: new Map([[PARTNER, partner.bundle()]]),
    entries,
    audiences: [{ spiffeId: parseSpiffeId("spiffe://example.org/web-0"), audience: ["a", "b"], askedAt: 1_000 }],
  };
}

async function bytesOf(codec: WorkloadCodec, from: WorkloadSnapshot): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of codec.encode(from)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

const plain = ({ entries, ...rest }: WorkloadSnapshot) => ({
  ...rest,
  entries: [...entries].map(({ entry, issued }) => ({
    entry,
    issued: issued && {
      ...issued,
      svid: {
        spiffeId: issued.svid.spiffeId,
        chain: issued.svid.chain.map((der) => Buffer.from(der).toString("hex")),
        notBefore: issued.svid.notBefore,
        notAfter: issued.svid.notAfter,
        key: Buffer.from(pkcs8Of(issued.svid.privateKey)).toString("hex"),
      },
    },
  })),
});

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
