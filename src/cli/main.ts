/** What the two programs' entry points share: signals, standard streams, exit status. */
import { systemClock } from "../lib/clock.ts";
import type { CommandSpec } from "./command.ts";
import { completionCommand } from "./completion.ts";
import { runProgram } from "./program.ts";
import { packageVersion } from "./version.ts";

/** Runs a program to its end and sets the exit status of the process. A second SIGINT or SIGTERM ends it at once. */
export async function main(
  program: string,
  about: string,
  commands: readonly CommandSpec[],
  notInThisVersion: readonly (readonly string[])[] = [],
): Promise<void> {
  // Without a listener Node would open a debugger on a TCP port for it, which every user of the host could speak to.
  process.on("SIGUSR1", () => {});
  const controller = new AbortController();
  const stop = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(1);
    controller.abort(new Error(`received ${signal}`));
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  // A reader that goes away (`holdfast-server entry show | head`) is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
  });
  const spec = {
    about,
    version: packageVersion(),
    commands: [...commands, completionCommand(program, commands)],
    notInThisVersion,
  };
  process.exitCode = await runProgram(spec, process.argv.slice(2), {
    program,
    env: process.env,
    clock: systemClock,
    signal: controller.signal,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    ...(process.stdout.isTTY ? { terminal: (text: string) => void process.stdout.write(text) } : {}),
    stdin: readStdin,
  });
  process.off("SIGINT", stop);
  process.off("SIGTERM", stop);
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
