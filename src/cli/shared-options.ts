/** Flags and commands that both programs have. */
import type { CommandSpec, OptionSpec } from "./command.ts";

/** `-output`. */
export const OUTPUT_OPTION: OptionSpec = {
  name: "output",
  value: "pretty|json",
  description: "How the result is printed.",
  default: "pretty",
};

/** `-config` and `-expandEnv`. */
export function configOptions(defaultPath: string): readonly OptionSpec[] {
  return [
    { name: "config", value: "path", description: "The configuration file, HCL or JSON.", default: defaultPath },
    { name: "expandEnv", description: "Replaces $NAME and ${NAME} in the file by the environment's values." },
  ];
}

/** `-logFile`, `-logFormat`, `-logLevel`, `-logSourceLocation`. */
export const LOG_OPTIONS: readonly OptionSpec[] = [
  {
    name: "logFile",
    value: "path",
    description: "Where the log goes. SIGUSR2 opens it anew.",
    default: "standard output",
  },
  { name: "logFormat", value: "text|json", description: "What a line of the log looks like.", default: "text" },
  { name: "logLevel", value: "level", description: "ERROR, WARN, INFO, DEBUG or TRACE.", default: "INFO" },
  { name: "logSourceLocation", description: "Adds the place in the code to each line." },
];

/** `validate`. */
export function validateCommand(options: readonly OptionSpec[], load: CommandSpec["load"]): CommandSpec {
  return {
    path: ["validate"],
    summary: "check a configuration file",
    description:
      "Reports every problem of the file, each with its line and key, and starts nothing. Flags count as for run.",
    options,
    load,
  };
}

/** `healthcheck`. */
export function healthcheckCommand(
  program: "agent" | "server",
  options: readonly OptionSpec[],
  load: CommandSpec["load"],
): CommandSpec {
  return {
    path: ["healthcheck"],
    summary: `tell whether the ${program} is healthy`,
    options: [
      ...options,
      { name: "shallow", description: "Accepted for compatibility; has no effect." },
      { name: "verbose", description: "Says what is wrong." },
    ],
    load,
  };
}
