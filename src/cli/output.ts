/** `-output`: for people, or for programs. */
import { type CliContext, type OptionValues, text, UsageError } from "./command.ts";
import { protoJson } from "./proto-json.ts";

/** Prints a message as JSON when `-output json` was given, else calls `pretty`. */
export function print(options: OptionValues, context: CliContext, message: object, pretty: () => void): void {
  if (outputFormat(options) === "json") context.out(`${protoJson(message)}\n`);
  else pretty();
}

/** `pretty` or `json`. Commands ask before they call the server, so that a wrong flag changes nothing. */
export function outputFormat(options: OptionValues): "pretty" | "json" {
  const format = text(options, "output", "pretty");
  if (format === "pretty" || format === "json") return format;
  throw new UsageError(`-output is "pretty" or "json", not "${format}"`);
}
