/** The committed generated code is what the definitions give, and the descriptors of gRPC reflection hold together. */

import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { adminFileDescriptors, fileDescriptors } from "../../src/gen/descriptors.ts";

const root = join(import.meta.dirname, "../..");

function bufRuns(): boolean {
  try {
    execFileSync(join(root, "node_modules/.bin/buf"), ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function contents(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1)).toSorted();
  return Object.fromEntries(paths.map((path) => [path, readFileSync(join(folder, path), "utf8")]));
}

const canGenerate = bufRuns();

test.skipIf(!canGenerate)(
  `src/gen is what scripts/gen.sh makes${canGenerate ? "" : " (skipped: buf does not run here)"}`,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-gen-"));
    try {
      await promisify(execFile)("sh", [join(root, "scripts/gen.sh"), folder]);
      const made = contents(join(folder, "src/gen"));
      const committed = contents(join(root, "src/gen"));
      expect(Object.keys(made)).toStrictEqual(Object.keys(committed));
      const stale = Object.keys(made).filter((path) => made[path] !== committed[path]);
      expect(stale, "run `npm run gen`").toStrictEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  60_000,
);

describe("reflection descriptors", () => {
  const read = (descriptors: ReadonlyMap<string, Uint8Array>) =>
    [...descriptors].map(([name, bytes]) => ({ name, file: fromBinary(FileDescriptorProtoSchema, bytes) }));
  const servicesOf = (descriptors: ReadonlyMap<string, Uint8Array>): string[] =>
    read(descriptors)
      .flatMap(({ file }) => file.service.map(({ name }) => (file.package === "" ? name : `${file.package}.${name}`)))
      .toSorted();

  test.for([
    ["public", fileDescriptors],
    ["administration", adminFileDescriptors],
  ] as const)("each of the %s socket is stored under its own name, after all it imports", ([_name, descriptors]) => {
    const seen = new Set<string>();
    for (const { name, file } of read(descriptors)) {
      expect(file.name).toBe(name);
      expect(file.dependency.filter((dependency) => !seen.has(dependency))).toStrictEqual([]);
      seen.add(name);
    }
  });

  test("they describe the services of the public socket, and no others", () => {
    expect(servicesOf(fileDescriptors)).toStrictEqual([
      "SpiffeWorkloadAPI",
      "envoy.service.secret.v3.SecretDiscoveryService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
  });

  test("and of the administration socket, and no others", () => {
    expect(servicesOf(adminFileDescriptors)).toStrictEqual([
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      "holdfast.agent.v1.Status",
      "spire.agent.debug.v1.Debug",
      "spire.api.agent.delegatedidentity.v1.DelegatedIdentity",
      "spire.api.agent.logger.v1.Logger",
    ]);
  });
});
