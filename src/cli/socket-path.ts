/** Which Unix socket a command talks to: `-socketPath`, or `-instance` filled into a template of the environment. */
import { type CliContext, type OptionValues, text, UsageError } from "./command.ts";

/** Where a program's socket may be named. */
export interface SocketPlaces {
  /** SPIRE's default path. */
  readonly fallback: string;
  /** A variable that names another default. */
  readonly variable?: string;
  /** A variable with a path that has `%i` in it. */
  readonly template: string;
}

/** The path that flags and environment name. Throws `UsageError`. */
export function socketPathFrom(options: OptionValues, context: CliContext, places: SocketPlaces): string {
  const given = text(options, "socketPath");
  const instance = text(options, "instance");
  if (instance === "") {
    return given || (places.variable !== undefined && context.env[places.variable]) || places.fallback;
  }
  if (given !== "") throw new UsageError("-instance and -socketPath cannot be given together");
  const template = context.env[places.template];
  if (template === undefined || !template.includes("%i")) {
    throw new UsageError(`-instance needs ${places.template} in the environment, a path with %i in it`);
  }
  return template.replaceAll("%i", instance);
}
