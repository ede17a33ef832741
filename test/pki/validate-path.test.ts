/** The validator on chains that it must not trust: the check that should, and no other, says so. */
import { test } from "vitest";
import { expectRefusal, validate } from "./chains.ts";
import { REFUSED } from "./refused-chains.ts";

test.each(Object.entries(REFUSED))("%s", (_name, [check, make]) => {
  expectRefusal(() => validate(make()), check);
});
