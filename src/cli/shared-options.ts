/** Flags that both programs have. */
import type { OptionSpec } from "./command.ts";

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
