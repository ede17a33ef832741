/** The version of the package, read from its manifest. */
import { readFileSync } from "node:fs";

/** Such as `0.1.0`. Two folders up is the package's, from `src/cli` and from `dist/cli` alike. */
export function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return typeof manifest === "object" && manifest !== null && "version" in manifest
    ? String(manifest.version)
    : "unknown";
}
