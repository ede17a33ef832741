/** The `logger` commands. */
import type { CommandSpec, OptionSpec } from "../command.ts";

/** The commands; `admin` are the flags of every command that talks to the admin socket. */
export function loggerCommands(admin: readonly OptionSpec[]): readonly CommandSpec[] {
  return [
    {
      path: ["logger", "get"],
      summary: "tell how much the server logs",
      description: "Prints the level in force and the one that the server started with.",
      options: admin,
      load: async () => ({ run: (await import("./logger.ts")).get }),
    },
    {
      path: ["logger", "set"],
      summary: "change how much the server logs",
      description: "The level holds until it is changed again or the server ends.",
      options: [
        {
          name: "level",
          value: "level",
          description: "panic, fatal, error, warn, info, debug or trace; panic and fatal show nothing.",
        },
        ...admin,
      ],
      load: async () => ({ run: (await import("./logger.ts")).set }),
    },
    {
      path: ["logger", "reset"],
      summary: "let the server log as much as it did at its start",
      options: admin,
      load: async () => ({ run: (await import("./logger.ts")).reset }),
    },
  ];
}
