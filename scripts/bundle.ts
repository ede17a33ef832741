/**
 * Puts what the programs run on into `dist`: our modules and the packages that every start needs, in few files, so
 * that a start opens and compiles few. `docs/decisions/start-and-memory.md` says why.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type OutputChunk, rolldown } from "rolldown";

const ROOT = resolve(import.meta.dirname, "..");
const DIST = join(ROOT, "dist");
/** Loaded only where somebody asks for what they do, if ever: they stay in `node_modules`. */
const EXTERNAL: readonly string[] = ["undici", "prom-client", "@grpc/proto-loader"];
const LICENSE_FILE = /^(licen[cs]e|notice|copying)(\.(md|txt))?$/i;

const chunks = await bundle();
writeFileSync(join(DIST, "THIRD-PARTY-NOTICES"), notices(packagesOf(chunks)));

/** Everything lies in `dist/cli`: modules look for the package two folders up, and for the hash worker beside them. */
async function bundle(): Promise<readonly OutputChunk[]> {
  await using build = await rolldown({
    cwd: ROOT,
    input: {
      "holdfast-agent": "src/cli/holdfast-agent.ts",
      "holdfast-server": "src/cli/holdfast-server.ts",
      "hash-worker": "src/attestors/unix/hash-worker.ts",
    },
    platform: "node",
    tsconfig: false,
    external: [...EXTERNAL],
    // A warning is a module that may not work in a bundle.
    onLog: (level, log) => {
      if (level === "warn") throw new Error(log.message);
    },
  });
  const { output } = await build.write({
    dir: join(DIST, "cli"),
    format: "esm",
    entryFileNames: "[name].js",
    chunkFileNames: "[name]-[hash].js",
    minify: false,
    sourcemap: false,
  });
  return output.filter((file) => file.type === "chunk");
}

/** The bundled files of each package, by the package's folder. */
function packagesOf(bundled: readonly OutputChunk[]): ReadonlyMap<string, readonly string[]> {
  const packages = new Map<string, string[]>();
  for (const id of bundled.flatMap(({ moduleIds }) => moduleIds).sort()) {
    const folder = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0];
    if (folder === undefined) continue;
    const files = packages.get(folder);
    if (files === undefined) packages.set(folder, [id]);
    else files.push(id);
  }
  return packages;
}

/** The licences in full, as they ask for. */
function notices(packages: ReadonlyMap<string, readonly string[]>): string {
  const parts = [...packages].map(([folder, files]) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
      name: string;
      version: string;
      license: string;
    };
    const own = readdirSync(folder)
      .filter((file) => LICENSE_FILE.test(file))
      .map((file) => readFileSync(join(folder, file), "utf8").trim());
    const texts = own.length > 0 ? own : headers(name, license, files);
    return `${name} ${version} (${license})\n\n${texts.join("\n\n")}\n`;
  });
  return ["The files in dist/cli contain code of these packages.\n", ...parts].join(`\n${"-".repeat(80)}\n\n`);
}

/** What the files themselves say, for a package whose licence is the Apache License, which ours comes with. */
function headers(name: string, license: string, files: readonly string[]): readonly string[] {
  if (!license.includes("Apache-2.0")) throw new Error(`${name} has no licence file`);
  const found = files.flatMap((file) => /^(?:\/\/.*\n)+/.exec(readFileSync(file, "utf8"))?.[0].trim() ?? []);
  return ["The Apache License 2.0 is in the file LICENSE of this package. The package's files say:", ...new Set(found)];
}
