/** What every program does with its process before it does anything else. */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { until } from "../lib/rpc/harness.ts";

const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");
const PROGRAM = `
  const { main } = await import(${JSON.stringify(MAIN)});
  const run = (_options, context) =>
    new Promise((resolve) => {
      const alive = setInterval(() => {}, 1000);
      context.signal.addEventListener("abort", () => { clearInterval(alive); resolve(0); });
      process.on("SIGWINCH", () => context.out("signals were delivered\\n"));
      context.out("running\\n");
    });
  await main("test", "a test", [{ path: ["run"], summary: "runs", options: [], load: async () => ({ run }) }]);
`;

/** TCP sockets that a process listens on. */
function listening(pid: number): number {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap(
      (fd) => /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [],
    ),
  );
  const tables = ["tcp", "tcp6"].map((name) => readFileSync(`/proc/${pid}/net/${name}`, "utf8"));
  return tables
    .flatMap((table) => table.trim().split("\n").slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode = ""]) => state === "0A" && inodes.has(inode)).length;
}

test("SIGUSR1 opens no debugger, which every user of the host could speak to", async () => {
  const child = spawn(process.execPath, ["--input-type=module", "-e", PROGRAM, "--", "main.ts", "run"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  using _ = { [Symbol.dispose]: () => void child.kill("SIGKILL") };
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text: Buffer) => (output += text.toString()));
  await until(() => output.includes("running"));
  const pid = child.pid ?? -1;
  child.kill("SIGUSR1");
  // Signals are delivered in the order of their numbers.
  child.kill("SIGWINCH");
  await until(() => output.includes("signals were delivered"));
  child.kill("SIGUSR1");
  child.kill("SIGWINCH");
  await until(() => output.split("signals were delivered").length > 2);
  expect(listening(pid)).toBe(0);
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
  expect(output).not.toMatch(/debugger|inspector/i);
});
