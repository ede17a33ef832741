/** The sealed file: what was sealed opens, and nothing else does. */
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { KEY_BYTES, openSealed, sealFile } from "../../../src/agent/store/sealed-file.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { parseTrustDomain } from "../../../src/spiffe/id.ts";

const ROLE = { role: "workloads", trustDomain: parseTrustDomain("example.org") } as const;
const KEY = new Uint8Array(randomBytes(KEY_BYTES));
const CONTENT = Buffer.from("an SVID and its key, which nobody may read or change");

const seal = (content: Uint8Array = CONTENT): Promise<Buffer> =>
  sealFile([new Uint8Array(content)], KEY, ROLE, systemRandom);

test("what was sealed opens, also an empty one", async () => {
  expect(openSealed(await seal(), KEY, ROLE)).toEqual(CONTENT);
  expect(openSealed(await seal(Buffer.alloc(0)), KEY, ROLE)).toEqual(Buffer.alloc(0));
});

test("the first line tells a person what it is, and nothing of the content", async () => {
  const text = (await seal()).toString("latin1");
  expect(text).toMatch(/^holdfast-store version=1 role=workloads trust-domain=example\.org key=[0-9a-f]{16}\n/);
  expect(text).not.toContain("SVID");
});

test("each sealing has a nonce of its own", async () => {
  const [one, other] = [await seal(), await seal()];
  const nonce = (file: Buffer): string => file.subarray(file.indexOf("\n") + 1).toString("hex", 0, 12);
  expect(nonce(one)).not.toBe(nonce(other));
});

test("pieces are sealed as one, and wiped", async () => {
  const pieces = [new Uint8Array(Buffer.from("first, ")), new Uint8Array(Buffer.from("second"))];
  const file = await sealFile(pieces, KEY, ROLE, systemRandom);
  expect((openSealed(file, KEY, ROLE) as Buffer).toString("utf8")).toBe("first, second");
  expect(pieces.every((piece) => piece.every((byte) => byte === 0))).toBe(true);
});

describe("not opened", () => {
  test.each([
    ["another key", new Uint8Array(KEY_BYTES), ROLE, "foreign", "it was sealed with another key"],
    ["another role", KEY, { ...ROLE, role: "agent" }, "foreign", "it is a file of workloads, not of agent"],
    [
      "another trust domain",
      KEY,
      { ...ROLE, trustDomain: parseTrustDomain("other.org") },
      "foreign",
      "it belongs to the trust domain example.org",
    ],
  ] as const)("%s", async (_name, key, role, why, reason) => {
    expect(openSealed(await seal(), key, role)).toEqual({ why, reason });
  });

  test("a newer version is told, and so not mistaken for damage", async () => {
    const file = Buffer.from((await seal()).toString("latin1").replace("version=1", "version=2"), "latin1");
    expect(openSealed(file, KEY, ROLE)).toEqual({ why: "newer-version", reason: "it has version 2, we know 1" });
  });

  test.each([
    ["nothing", ""],
    ["a text", "something else\n"],
    ["the file of the first version", '{"version":1,"sha256":"","data":{}}\n'],
    ["an endless line", `holdfast-store ${"x".repeat(10_000)}`],
  ])("%s", (_name, text) => {
    expect(openSealed(Buffer.from(text), KEY, ROLE)).toMatchObject({ why: "foreign" });
  });

  test("cut at any byte", async () => {
    const file = await seal();
    for (let length = 0; length < file.length; length++) {
      expect(openSealed(file.subarray(0, length), KEY, ROLE)).toHaveProperty("why");
    }
    expect(openSealed(Buffer.concat([file, Buffer.alloc(1)]), KEY, ROLE)).toHaveProperty("why");
  });

  test("any bit flipped", async () => {
    const file = await seal();
    for (let bit = 0; bit < file.length * 8; bit++) {
      const changed = Buffer.from(file);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(openSealed(changed, KEY, ROLE)).toHaveProperty("why");
    }
  });
});
