/** Loads the native addon; the only place that does. Everything else takes it as the ports of `lib/native.ts`. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { AgentError } from "../lib/errors.ts";
import type { NativeAddon } from "../lib/native.ts";

/** What the loader reads of its surroundings. */
export interface NativeLoaderDeps {
  /** `HOLDFAST_NATIVE` names a file to load in place of all others. */
  readonly env: { readonly HOLDFAST_NATIVE?: string | undefined };
  /** Folder of the package: holds `prebuilds/` and `native/`. */
  readonly root: string;
  /** As `process.arch`. */
  readonly arch: string;
  /** Loads one file; throws if it cannot. */
  readonly load: (file: string) => unknown;
}

const REMEDY = "build it with `npm run build:native` (needs the Debian packages g++ and libtss2-dev)";

/** What an addon must export to be ours; an old file that lacks something is refused at start, not at first use. */
const EXPORTS: Readonly<Record<keyof NativeAddon, true>> = {
  peerCredentials: true,
  lockFile: true,
  sdNotify: true,
  listeningPath: true,
  setDumpable: true,
  disableCoreDumps: true,
  raiseFileLimit: true,
  setUmask: true,
  tpmUnavailable: true,
  openTpm: true,
};

/**
 * Loads the addon: the file that `HOLDFAST_NATIVE` names, else the prebuilt one of a published package, else the one
 * built in a checkout.
 * @throws AgentError `FAILED_PRECONDITION` that says what to run, with the last loader's error as its cause.
 */
export function loadNative(deps: NativeLoaderDeps = defaultDeps()): NativeAddon {
  const named = deps.env.HOLDFAST_NATIVE;
  if (named !== undefined && named !== "")
    return loadFirst([resolve(named)], deps, "HOLDFAST_NATIVE names a file that");
  const files = [`prebuilds/linux-${deps.arch}`, "native/build"].map((folder) =>
    join(deps.root, folder, "holdfast.node"),
  );
  return loadFirst(files, deps, "the native addon");
}

function loadFirst(files: readonly string[], deps: NativeLoaderDeps, subject: string): NativeAddon {
  const failures: string[] = [];
  let cause: unknown;
  for (const file of files) {
    // A missing file is the usual case, and Node's message for it is long and names no remedy.
    if (!existsSync(file)) {
      failures.push(`${file}: not there`);
      continue;
    }
    try {
      const addon = deps.load(file);
      const missing = missingExports(addon);
      if (missing.length === 0) return addon as NativeAddon;
      failures.push(`${file}: of another version, lacks ${missing.join(", ")}`);
    } catch (error) {
      cause = error;
      failures.push(`${file}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new AgentError("FAILED_PRECONDITION", `${subject} cannot be loaded: ${REMEDY}. Tried ${failures.join("; ")}`, {
    cause,
  });
}

function missingExports(addon: unknown): string[] {
  const has = (name: string): boolean =>
    typeof addon === "object" && addon !== null && typeof (addon as Record<string, unknown>)[name] === "function";
  return Object.keys(EXPORTS).filter((name) => !has(name));
}

/** Two folders up is the package's, from `src/cli` and from `dist/cli` alike. */
function defaultDeps(): NativeLoaderDeps {
  return {
    env: process.env,
    root: fileURLToPath(new URL("../../", import.meta.url)),
    arch: process.arch,
    load: createRequire(import.meta.url),
  };
}
