import { mkdirSync, symlinkSync } from "node:fs";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkApart } from "../../../src/cli/agent/socket-folders.ts";

test("a socket for administrators is not in the workloads' folder, by whatever name", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "sockets-"));
  const at = (...names: string[]): string => join(folder.path, ...names);
  mkdirSync(at("run", "public"), { recursive: true });
  mkdirSync(at("run", "private"));
  symlinkSync(at("run"), at("var"));
  symlinkSync("public", at("run", "also"));
  const workload = at("run", "public", "api.sock");
  for (const admin of [
    at("run", "public", "admin.sock"),
    at("var", "public", "admin.sock"),
    at("run", "also", "admin.sock"),
    at("var", "also", "not", "yet", "admin.sock"),
  ]) {
    expect(() => checkApart(workload, admin)).toThrow(
      expect.objectContaining({ code: "FAILED_PRECONDITION", publicMessage: expect.stringContaining(admin) }),
    );
  }
  for (const admin of [at("run", "private", "a.sock"), at("var", "a.sock"), at("run", "publicly", "a.sock")]) {
    expect(() => checkApart(workload, admin)).not.toThrow();
  }
  // The other way round: workloads that come by a link.
  expect(() => checkApart(at("var", "public", "api.sock"), at("run", "public", "a.sock"))).toThrow(/must not be/);
  symlinkSync("loop", at("loop"));
  expect(() => checkApart(workload, at("loop", "a.sock"))).toThrow(/cannot find out where .*: ELOOP/);
});
