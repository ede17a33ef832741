/** `-ttl` of the mint commands, and the warning when the server gave less. */
import { parseDuration } from "../../config/duration.ts";
import { type CliContext, type OptionValues, text, UsageError } from "../command.ts";

/** The server may have a clock of its own, and counts from a whole second. */
const CLOCK_SKEW_SECONDS = 30;

/** Whole seconds, rounded up; 0 for the server's default. */
export function ttlSeconds(options: OptionValues): number {
  const given = text(options, "ttl");
  if (given === "") return 0;
  const ms = parseDuration(given);
  if (ms === undefined || ms < 0) throw new UsageError('-ttl takes a duration such as "1h"');
  return Math.ceil(ms / 1000);
}

/** Says that an SVID ends before it was asked to: the end of what signs it caps it. Times in seconds. */
export function warnIfCapped(kind: string, expiresAt: number, ttl: number, context: CliContext): void {
  if (ttl === 0 || expiresAt > context.clock.now() / 1000 + ttl - CLOCK_SKEW_SECONDS) return;
  const end = new Date(expiresAt * 1000).toISOString().replace(".000Z", "Z");
  context.err(`${kind} lifetime was capped shorter than specified ttl; expires "${end}"\n`);
}
