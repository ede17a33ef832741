/** Runs the addon under the address, undefined-behaviour and thread sanitizers. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Swtpm } from "../../scripts/lib/swtpm.ts";
import type { TpmKey } from "../../src/lib/native-tpm.ts";
import { ROOT, TestFolder } from "./support.ts";
import { AK_TEMPLATES, challenge, EKS, MISSING, open, PCRS, SRK, startTpm, WHY } from "./tpm-support.ts";

const SANITIZED = join(ROOT, "native/build/holdfast-asan.node");
const REPORT = /Sanitizer|runtime error:/;

/** The compiler's own copy of a library, or undefined where it is not installed. */
function library(name: string): string | undefined {
  const { status, stdout } = spawnSync("g++", [`-print-file-name=${name}`], { encoding: "utf8" });
  const file = stdout?.trim() ?? "";
  // Without the library, g++ prints the name as it was given.
  return status === 0 && file.startsWith("/") && existsSync(file) ? file : undefined;
}

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Outcome {
  const options = { encoding: "utf8", timeout: 200_000, env: { ...process.env, ...env } } as const;
  const { status, stdout, stderr } = spawnSync(command, args, options);
  return { status, stdout, stderr };
}

function buildSanitized(): void {
  execFileSync("sh", [join(ROOT, "native/build.sh"), "--sanitize"], { stdio: ["ignore", "inherit", "inherit"] });
}

const asan = library("libasan.so");
const ASAN_ENV = {
  LD_PRELOAD: asan,
  // V8 hides pointers from the leak detector, which then reports its heap: our own leaks show as open descriptors.
  ASAN_OPTIONS: "detect_leaks=0",
  UBSAN_OPTIONS: "print_stacktrace=1",
};

test.skipIf(asan === undefined)(
  `address and undefined-behaviour sanitizers find nothing${asan === undefined ? " (no libasan.so: install g++)" : ""}`,
  { timeout: 180_000 },
  () => {
    buildSanitized();
    const script = join(ROOT, "test/native/stress.mjs");
    const { status, stdout, stderr } = run(process.execPath, ["--expose-gc", script, SANITIZED], ASAN_ENV);
    expect(stderr).not.toMatch(REPORT);
    expect({ status, stdout }).toEqual({ status: 0, stdout: "done\n" });
  },
);

test.skipIf(asan === undefined || MISSING !== undefined)(
  `they find nothing in what the addon does with a TPM${asan === undefined ? " (no libasan.so: install g++)" : WHY}`,
  { timeout: 300_000 },
  async () => {
    buildSanitized();
    await using tpm = await startTpm();
    const script = join(ROOT, "test/native/stress-tpm.mjs");
    const args = ["--expose-gc", script, SANITIZED, JSON.stringify(await facts(tpm), hexBytes)];
    const { status, stdout, stderr } = run(process.execPath, args, ASAN_ENV);
    expect(stderr).not.toMatch(REPORT);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "done\n", stderr: "" });
    // Only the operation at the very end may have been cut off.
    expect((await tpm.loadedHandles()).sessions).toBe(0);
  },
);

/** What the script is told of a TPM: where it is, and keys and a secret that belong to it. */
async function facts(tpm: Swtpm): Promise<Record<string, unknown>> {
  const ek = EKS["persistent P-256"] as TpmKey;
  await using handle = await open(tpm.tcti);
  const ak = await handle.createAk(SRK, AK_TEMPLATES.ecc);
  const { tcti, pid } = tpm;
  const akTemplates = [AK_TEMPLATES.ecc, AK_TEMPLATES.rsa];
  return { tcti, pid, parent: SRK, akTemplates, ak, ek, ...(await challenge(handle, ek, ak)), pcrs: PCRS };
}

/** For JSON: bytes as `{"hex": ...}`. */
function hexBytes(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const bytes = this[key];
  return bytes instanceof Uint8Array ? { hex: Buffer.from(bytes).toString("hex") } : value;
}

test.skipIf(asan === undefined)("the address sanitizer would have been heard", { timeout: 180_000 }, () => {
  using folder = new TestFolder();
  const source = join(folder.path, "overrun.cc");
  const fault = `#include <node_api.h>
    #include <vector>
    NAPI_MODULE_INIT() { (void)env; volatile int i = 3; std::vector<int> v(3); v[i] = 1; return exports; }`;
  writeFileSync(source, fault);
  const headers = join(ROOT, "node_modules/node-api-headers/include");
  const addon = join(folder.path, "overrun.node");
  const flags = ["-fsanitize=address,undefined", "-fPIC", "-shared", "-I", headers, source, "-o", addon];
  expect(run("g++", flags)).toMatchObject({ status: 0, stderr: "" });
  const { status, stderr } = run(process.execPath, ["-e", "require(process.argv[1])", "--", addon], ASAN_ENV);
  expect(stderr).toMatch(REPORT);
  expect(status).not.toBe(0);
});

const tsan = library("libtsan.so");

test.skipIf(tsan === undefined)(
  `the thread sanitizer finds nothing in the exit watcher${tsan === undefined ? " (no libtsan.so: install g++)" : ""}`,
  { timeout: 180_000 },
  (context) => {
    using folder = new TestFolder();
    const program = join(folder.path, "stress");
    const sources = ["test/native/exit-watcher-stress.cc", "native/exit-watcher.cc", "native/proc-folder.cc"];
    const flags = ["-std=c++20", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-fsanitize=thread"];
    const headers = join(ROOT, "node_modules/node-api-headers/include");
    const files = sources.map((file) => join(ROOT, file));
    expect(run("g++", [...flags, "-I", headers, ...files, "-o", program])).toMatchObject({ status: 0, stderr: "" });
    const { status, stdout, stderr } = run(program, []);
    // Older versions of it cannot live with a kernel that randomizes addresses more than they knew.
    if (stderr.includes("unexpected memory mapping")) context.skip("this libtsan does not run on this kernel");
    expect(stderr).not.toMatch(REPORT);
    expect({ status, stdout }).toEqual({ status: 0, stdout: "done\n" });
  },
);
