/** `-format` of the `bundle` commands. */
import type { BundleFormat } from "../../pki/bundle-format.ts";
import { type OptionValues, text, UsageError } from "../command.ts";

/** The format that was asked for, in any case; PEM without the flag. */
export function bundleFormat(options: OptionValues): BundleFormat {
  const given = text(options, "format");
  const format = given === "" ? "pem" : given.toLowerCase();
  if (format !== "pem" && format !== "spiffe") throw new UsageError(`-format is "pem" or "spiffe", not "${given}"`);
  return format;
}
