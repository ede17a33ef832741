/** The `logger` commands of both programs. */
import type { CommandRun, CommandSpec, OptionSpec } from "./command.ts";

/** What each command does. */
export type LoggerRuns = Readonly<Record<"get" | "set" | "reset", CommandRun>>;

/** The commands of `program`, "agent" or "server"; `admin` are the flags of every command that talks to its admin socket. */
export function loggerCommands(
  program: string,
  admin: readonly OptionSpec[],
  load: () => Promise<LoggerRuns>,
): readonly CommandSpec[] {
  return [
    {
      path: ["logger", "get"],
      summary: `tell how much the ${program} logs`,
      description: `Prints the level in force and the one that the ${program} started with.`,
      options: admin,
      load: async () => ({ run: (await load()).get }),
    },
    {
      path: ["logger", "set"],
      summary: `change how much the ${program} logs`,
      description: `The level holds until it is changed again or the ${program} ends.`,
      options: [
        {
          name: "level",
          value: "level",
          description: "panic, fatal, error, warn, info, debug or trace; panic and fatal show nothing.",
        },
        ...admin,
      ],
      load: async () => ({ run: (await load()).set }),
    },
    {
      path: ["logger", "reset"],
      summary: `let the ${program} log as much as it did at its start`,
      options: admin,
      load: async () => ({ run: (await load()).reset }),
    },
  ];
}
