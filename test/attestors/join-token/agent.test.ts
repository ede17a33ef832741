import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { JoinTokenAgentAttestor, type JoinTokenSource } from "../../../src/attestors/join-token/agent.ts";

const request = { csrPublicKey: generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey };
const { signal } = new AbortController();
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "join-token-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function payload(source: JoinTokenSource): Promise<string> {
  await using attestation = await new JoinTokenAgentAttestor(source).begin(request, signal);
  return Buffer.from(attestation.payload).toString();
}

describe("join_token, agent half", () => {
  test("its name is the attestation type on the wire", () => {
    expect(new JoinTokenAgentAttestor({ kind: "token", token: "t" }).name).toBe("join_token");
  });

  test("sends the bare token", async () => {
    expect(await payload({ kind: "token", token: "9f5e6e2a-0b1f" })).toBe("9f5e6e2a-0b1f");
  });

  test("reads the file at each attempt, without the white space around the token", async () => {
    const path = join(folder, "token");
    await writeFile(path, " first\n");
    expect(await payload({ kind: "file", path })).toBe("first");
    await writeFile(path, "second\n");
    expect(await payload({ kind: "file", path })).toBe("second");
  });

  test.each([
    ["an empty token", { kind: "token", token: "" }, "INVALID_ARGUMENT"],
    ["white space only", { kind: "token", token: " \n" }, "INVALID_ARGUMENT"],
    ["a token longer than any", { kind: "token", token: "x".repeat(256) }, "INVALID_ARGUMENT"],
    ["a missing file", { kind: "file", path: "/nonexistent/token" }, "UNAVAILABLE"],
  ] as const)("refuses %s", async (_name, source, code) => {
    await expect(payload(source)).rejects.toMatchObject({ code });
  });

  test("has no answer to a challenge", async () => {
    await using attestation = await new JoinTokenAgentAttestor({ kind: "token", token: "t" }).begin(request, signal);
    await expect(attestation.respond(new Uint8Array([1]))).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  });

  test("an error does not repeat the token", async () => {
    const token = "s3cret".repeat(60);
    await expect(payload({ kind: "token", token })).rejects.not.toThrow("s3cret");
  });
});
