/** Where the addon is looked for, and what the error says when it is not there. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { loadNative, type NativeLoaderDeps } from "../../src/cli/native.ts";
import { AgentError } from "../../src/lib/errors.ts";
import { loadAddon, TestFolder } from "../native/support.ts";

const PREBUILT = "prebuilds/linux-riscv64/holdfast.node";
const BUILT = "native/build/holdfast.node";

/** An addon that tells which file it came from. */
function fakeAddon(file: string): Record<string, unknown> {
  const names = [
    "peerCredentials",
    "lockFile",
    "sdNotify",
    "listeningPath",
    "setDumpable",
    "disableCoreDumps",
    "raiseFileLimit",
    "setUmask",
    "tpmUnavailable",
    "openTpm",
  ];
  return { ...Object.fromEntries(names.map((name) => [name, () => {}])), file };
}

/** A package folder with these files in it. */
class Package extends TestFolder {
  constructor(files: readonly string[]) {
    super();
    for (const file of files) {
      mkdirSync(dirname(join(this.path, file)), { recursive: true });
      writeFileSync(join(this.path, file), "");
    }
  }

  deps(changes: Partial<NativeLoaderDeps> = {}): NativeLoaderDeps {
    return { env: {}, root: this.path, arch: "riscv64", load: fakeAddon, ...changes };
  }

  at(file: string): string {
    return join(this.path, file);
  }
}

function errorOf(work: () => unknown): AgentError {
  try {
    work();
  } catch (error) {
    if (error instanceof AgentError) return error;
  }
  throw new Error("no AgentError");
}

test("takes the prebuilt file, then the one built here", () => {
  using both = new Package([PREBUILT, BUILT]);
  expect(loadNative(both.deps())).toMatchObject({ file: both.at(PREBUILT) });
  using built = new Package([BUILT]);
  expect(loadNative(built.deps())).toMatchObject({ file: built.at(BUILT) });
});

test("takes only the file that HOLDFAST_NATIVE names", () => {
  using folder = new Package([PREBUILT, BUILT, "other.node"]);
  const env = { HOLDFAST_NATIVE: folder.at("other.node") };
  expect(loadNative(folder.deps({ env }))).toMatchObject({ file: folder.at("other.node") });
  const error = errorOf(() => loadNative(folder.deps({ env: { HOLDFAST_NATIVE: "/missing.node" } })));
  expect(error.message).toMatch(/HOLDFAST_NATIVE names .*\/missing\.node: not there/);
  expect(loadNative(folder.deps({ env: { HOLDFAST_NATIVE: "" } }))).toMatchObject({ file: folder.at(PREBUILT) });
});

test("says what to run when there is none", () => {
  using folder = new Package([]);
  const error = errorOf(() => loadNative(folder.deps()));
  expect(error.code).toBe("FAILED_PRECONDITION");
  expect(error.message).toContain("npm run build:native");
  expect(error.message).toContain("Debian packages g++ and libtss2-dev");
  expect(error.message).toContain(`${folder.at(PREBUILT)}: not there; ${folder.at(BUILT)}: not there`);
});

test("a prebuilt file that does not load on this host is passed over", () => {
  using folder = new Package([PREBUILT, BUILT]);
  const load = (file: string): unknown => {
    if (file.includes("prebuilds")) throw new Error("version `GLIBC_9.9' not found");
    return fakeAddon(file);
  };
  expect(loadNative(folder.deps({ load }))).toMatchObject({ file: folder.at(BUILT) });
  using lone = new Package([PREBUILT]);
  const error = errorOf(() => loadNative(lone.deps({ load })));
  expect(error.message).toContain("GLIBC_9.9");
  expect(error.cause).toMatchObject({ message: "version `GLIBC_9.9' not found" });
});

test("a file of another version is named as such", () => {
  using folder = new Package([BUILT]);
  const load = (file: string): unknown => ({ ...fakeAddon(file), lockFile: undefined });
  expect(errorOf(() => loadNative(folder.deps({ load }))).message).toContain("of another version, lacks lockFile");
  expect(errorOf(() => loadNative(folder.deps({ load: () => undefined }))).message).toContain("lacks peerCredentials");
});

test("loads the addon of this checkout", () => {
  loadAddon();
  expect(typeof loadNative().peerCredentials).toBe("function");
});
