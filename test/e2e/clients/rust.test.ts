/** Rust's `spiffe` on our socket. In a file of its own: its build takes two minutes of a processor, once for each user. */
import { test } from "vitest";
import { RUST } from "./recipes.ts";
import { throughRotation } from "./rotation.ts";
import { build } from "./support.ts";

test("Rust's spiffe through a rotation", { timeout: 600_000 }, async ({ skip }) => {
  const built = await build(RUST);
  if ("missing" in built) return skip(built.missing);
  await throughRotation(built.command);
});
