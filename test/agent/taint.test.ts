import { describe, expect, test } from "vitest";
import { taintCheck } from "../../src/agent/taint.ts";
import { makeSpiffeId } from "../../src/spiffe/id.ts";
import { bundleOf, TestCa } from "../fakes/test-ca.ts";
import { TD } from "./entries.ts";

const [old, young] = await Promise.all([TestCa.create(TD), TestCa.create(TD)]);
const below = await old.subordinate();
const id = makeSpiffeId(TD, "/web");

describe("taintCheck", () => {
  test("finds what hangs below a tainted authority, through an intermediate too", async () => {
    const check = taintCheck(bundleOf(TD, [{ ca: old, tainted: true }, { ca: young }]));
    expect(check(await old.svid(id))).toBe(true);
    expect(check(await below.svid(id))).toBe(true);
    expect(check(await young.svid(id))).toBe(false);
  });

  test("finds nothing where nothing is tainted", async () => {
    const check = taintCheck(bundleOf(TD, [{ ca: old }, { ca: young }]));
    expect(check(await old.svid(id))).toBe(false);
  });

  test("gives the same verdict again", async () => {
    const check = taintCheck(old.bundle({ tainted: true }));
    const svid = await old.svid(id);
    expect([check(svid), check(svid)]).toEqual([true, true]);
  });
});
