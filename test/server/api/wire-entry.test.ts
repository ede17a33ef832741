import { expect, test } from "vitest";
import { EntryMask } from "../../../src/gen/spire/api/types/entry.ts";
import { EntryEncoder } from "../../../src/server/api/wire-entry.ts";
import { entry } from "../../fakes/entries.ts";

/** What SPIRE's agents and ours ask for. */
const AGENT = EntryMask.fromPartial({
  spiffeId: true,
  selectors: true,
  federatesWith: true,
  admin: true,
  downstream: true,
  revisionNumber: true,
  storeSvid: true,
  hint: true,
  createdAt: true,
  additionalAttributes: true,
});

test("an agent that asks with many masks spoils the encodings of no other", () => {
  const encoder = new EntryEncoder();
  const one = entry("one");
  for (let bits = 0; bits < 64; bits++) {
    const mask = EntryMask.fromPartial({
      hint: (bits & 1) > 0,
      admin: (bits & 2) > 0,
      dnsNames: (bits & 4) > 0,
      parentId: (bits & 8) > 0,
      selectors: (bits & 16) > 0,
      spiffeId: (bits & 32) > 0,
    });
    encoder.encode(one, mask);
  }
  expect(encoder.encode(one, AGENT)).toBe(encoder.encode(one, AGENT));
  expect(encoder.encode(one)).toBe(encoder.encode(one));
  expect(encoder.encode(one, AGENT)).not.toEqual(encoder.encode(one));
});
