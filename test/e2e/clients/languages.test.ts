/** Stock SPIFFE libraries follow their identities on our socket, and validate them, while what signs is rotated. */
import { execFileSync } from "node:child_process";
import { describe, test } from "vitest";
import { PROGRAMS } from "../support.ts";
import { GO, JAVA, NODE_CLIENT, PYTHON } from "./recipes.ts";
import { throughRotation } from "./rotation.ts";
import { build } from "./support.ts";

const clients = [
  ["go-spiffe", GO],
  ["Python's spiffe", PYTHON],
  ["java-spiffe-core", JAVA],
] as const;

describe("X.509-SVIDs and JWT-SVIDs through a rotation", () => {
  test.for(clients)("%s", { timeout: 300_000 }, async ([, recipe], { skip }) => {
    const built = await build(recipe);
    if ("missing" in built) return skip(built.missing);
    await throughRotation(built.command);
  });

  test("grpc-js", { timeout: 120_000 }, () => throughRotation(NODE_CLIENT));

  test("go-spiffe, our agent at a stock spire-server", { timeout: 300_000 }, async ({ skip }) => {
    const server = onPath("spire-server");
    if (server === undefined) return skip("spire-server is not on PATH");
    const built = await build(GO);
    if ("missing" in built) return skip(built.missing);
    await throughRotation(built.command, { server, agent: PROGRAMS.agent });
  });
});

function onPath(program: string): string | undefined {
  try {
    return execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}
