/** The build scripts: what they print where something is missing, and that they build only when they must. */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT, TestFolder } from "./support.ts";

interface Result {
  readonly status: number | null;
  readonly lines: readonly string[];
}

/** A copy of the package as far as the addon is concerned, with a compiler that only writes down its arguments. */
class Copy extends TestFolder {
  readonly cxx = join(this.path, "g++-stub");
  readonly output = join(this.path, "native/build/holdfast.node");

  constructor() {
    super();
    mkdirSync(join(this.path, "native"));
    mkdirSync(join(this.path, "node_modules"));
    const isSource = (from: string): boolean => !from.startsWith(join(ROOT, "native/build/"));
    cpSync(join(ROOT, "native"), join(this.path, "native"), { recursive: true, filter: isSource });
    for (const name of ["node-api-headers", "node-addon-api"]) {
      symlinkSync(join(ROOT, "node_modules", name), join(this.path, "node_modules", name));
    }
    // Takes the file after -o, and says which machine it is for.
    const stub = `#!/bin/sh
      case $1 in -dumpmachine) echo "\${MACHINE:-x86_64-linux-gnu}"; exit ;; -E) exit \${NO_TSS2:-0} ;; esac
      arguments="$*"
      while [ "$1" != -o ]; do shift; done
      echo "$arguments" > "$2"`;
    writeFileSync(this.cxx, stub, { mode: 0o755 });
  }

  run(script: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Result {
    const options = { cwd: this.path, encoding: "utf8", env: { ...process.env, CXX: this.cxx, ...env } } as const;
    const { status, stdout, stderr } = spawnSync("sh", [join(this.path, "native", script), ...args], options);
    return { status, lines: `${stdout}${stderr}`.split("\n").filter((line) => line !== "") };
  }
}

test.each([
  { missing: "the compiler", script: "build.sh" },
  { missing: "the compiler", script: "prebuild.sh" },
])("without $missing, $script prints one line and exits 3", ({ script }) => {
  using copy = new Copy();
  const { status, lines } = copy.run(script, [], { CXX: "no-such-compiler" });
  expect(status).toBe(3);
  expect(lines).toEqual([expect.stringMatching(/no-such-compiler .*Debian package g\+\+/)]);
  expect(existsSync(copy.output)).toBe(false);
});

test("without the headers, it prints one line and exits 3", () => {
  using copy = new Copy();
  using empty = new TestFolder();
  cpSync(join(copy.path, "native"), join(empty.path, "native"), { recursive: true });
  const { status, stderr } = spawnSync("sh", [join(empty.path, "native/build.sh")], { encoding: "utf8" });
  expect(status).toBe(3);
  expect(stderr.trim().split("\n")).toEqual([expect.stringMatching(/g\+\+.*node-api-headers/)]);
});

test("without the headers of libtss2, it prints one line and exits 3", () => {
  using copy = new Copy();
  const { status, lines } = copy.run("build.sh", [], { NO_TSS2: "1" });
  expect(status).toBe(3);
  expect(lines).toEqual([expect.stringContaining("Debian package libtss2-dev")]);
  expect(existsSync(copy.output)).toBe(false);
});

test("builds when there is nothing or a source is newer, and else does nothing", () => {
  using copy = new Copy();
  expect(copy.run("build.sh")).toEqual({ status: 0, lines: [] });
  const built = readFileSync(copy.output, "utf8");
  for (const flag of [
    "-std=c++20",
    "-D_FORTIFY_SOURCE=2",
    "-fstack-protector-strong",
    "-Werror",
    "-Wl,-z,relro,-z,now",
  ]) {
    expect(built).toContain(flag);
  }

  const past = new Date("2020-01-01");
  utimesSync(copy.output, new Date(), new Date());
  for (const source of ["addon.cc", "common.h", "build.sh"]) utimesSync(join(copy.path, "native", source), past, past);
  writeFileSync(copy.output, "untouched");
  copy.run("build.sh");
  expect(readFileSync(copy.output, "utf8")).toBe("untouched");

  const future = new Date(Date.now() + 10_000);
  utimesSync(join(copy.path, "native/common.h"), future, future);
  copy.run("build.sh");
  expect(readFileSync(copy.output, "utf8")).not.toBe("untouched");
});

test("--sanitize builds another file, with the sanitizers", () => {
  using copy = new Copy();
  expect(copy.run("build.sh", ["--sanitize"]).status).toBe(0);
  expect(existsSync(copy.output)).toBe(false);
  const flags = readFileSync(join(copy.path, "native/build/holdfast-asan.node"), "utf8");
  expect(flags).toContain("-fsanitize=address,undefined");
});

test("a compiler's failure is the script's, and leaves nothing behind", () => {
  using copy = new Copy();
  writeFileSync(copy.cxx, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  expect(copy.run("build.sh").status).not.toBe(0);
  expect(existsSync(join(copy.path, "native/build")) ? readdirSync(join(copy.path, "native/build")) : []).toEqual([]);
});

test.each([
  { machine: "x86_64-linux-gnu", arch: "x64" },
  { machine: "aarch64-linux-gnu", arch: "arm64" },
])("prebuild.sh puts $machine under linux-$arch", ({ machine, arch }) => {
  using copy = new Copy();
  const file = `prebuilds/linux-${arch}/holdfast.node`;
  expect(copy.run("prebuild.sh", [], { MACHINE: machine })).toEqual({ status: 0, lines: [file] });
  expect(statSync(join(copy.path, file)).size).toBeGreaterThan(0);
});

test("prebuild.sh refuses a machine that has no place in the package", () => {
  using copy = new Copy();
  expect(copy.run("prebuild.sh", [], { MACHINE: "x86_64-linux-musl" }).status).toBe(2);
});

test("wrong use prints the usage", () => {
  using copy = new Copy();
  expect(copy.run("build.sh", ["--fast"]).status).toBe(2);
  expect(copy.run("build.sh", ["--output"]).status).toBe(2);
});
