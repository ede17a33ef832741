/** Reads the configuration file that the flags name. */
import { readFileSync } from "node:fs";
import type { Flags, Source } from "../config/load.ts";
import { publicError } from "../lib/errors.ts";
import { type CliContext, flag, type OptionValues, text } from "./command.ts";

/** Largest configuration file. */
const MAX_BYTES = 1 << 20;

/** The file with what the command line adds to it. Throws `INVALID_ARGUMENT` when it cannot be read. */
export function configSource(options: OptionValues, context: CliContext, defaultPath: string, flags: Flags): Source {
  const path = text(options, "config", defaultPath);
  return {
    text: readConfig(path),
    fileName: path,
    flags,
    ...(flag(options, "expandEnv") ? { expandEnv: context.env } : {}),
  };
}

/** Keys of the configuration by the flags that set them; a switch sets `true`. Flags that were not given are left out. */
export function flagsFrom(options: OptionValues, names: Readonly<Record<string, string>>): Flags {
  return Object.fromEntries(
    Object.entries(names).flatMap(([name, key]) => {
      const value = options[name];
      return typeof value === "string" || typeof value === "boolean" ? [[key, value]] : [];
    }),
  );
}

function readConfig(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why =
      code === "ENOENT" ? "there is no such file" : code === "EACCES" ? "no permission to read it" : String(code);
    throw publicError("INVALID_ARGUMENT", `cannot read the configuration file ${path}: ${why}; name it with -config`);
  }
  if (bytes.length > MAX_BYTES)
    throw publicError("INVALID_ARGUMENT", `the configuration file ${path} is larger than 1 MiB`);
  return bytes.toString("utf8");
}
