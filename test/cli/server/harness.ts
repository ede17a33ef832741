/** Runs the server's commands in this process, on the admin socket of a server in this process. */
import { runProgram } from "../../../src/cli/program.ts";
import { SERVER_COMMANDS } from "../../../src/cli/server/commands.ts";
import { fakeCliContext } from "../../fakes/cli-context.ts";
import type { TestServer } from "../../server/harness.ts";

/** How a command ended, and what it printed. */
export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command with `input` on its standard input. */
export async function command(server: TestServer, words: readonly string[], input = ""): Promise<Ended> {
  const context = fakeCliContext({ program: "holdfast-server", input });
  const program = { about: "", version: "1", commands: SERVER_COMMANDS };
  const status = await runProgram(program, [...words, "-socketPath", server.socketPath], context);
  return { status, stdout: context.stdout, stderr: context.stderr };
}
