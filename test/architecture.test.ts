/** Holds the arrows between the layers, so that the structure which the folders show is the one that the code has. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "..");
const SRC = join(ROOT, "src");

/** What each layer may import, besides itself. `gen` is generated protobuf and has a table of its own. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  spiffe: ["lib"],
  pki: ["lib", "spiffe"],
  config: ["lib", "spiffe", "pki"],
  attestors: ["lib", "spiffe", "pki", "config"],
  "workload-api": ["lib", "spiffe", "pki", "attestors"],
  "agent-admin": ["lib", "spiffe", "pki", "attestors", "workload-api"],
  agent: ["lib", "spiffe", "pki", "config", "attestors", "workload-api", "agent-admin"],
  server: ["lib", "spiffe", "pki", "config", "attestors"],
  cli: ["lib", "spiffe", "pki", "config", "attestors", "workload-api", "agent-admin", "agent", "server"],
  gen: [],
};

/** `agent` sees of what it serves only what it has to offer it. */
const PORTS_ONLY = new Map([["agent", /^(workload-api|agent-admin)\/ports\.ts$/]]);
const SERVED: ReadonlySet<string> = new Set(["workload-api", "agent-admin"]);

/** Where generated protobuf may appear: at the edges. */
const GEN_ALLOWED =
  /^(gen|cli|workload-api|agent-admin|server\/api|agent\/store)\/|^agent\/(server-client|wire)[^/]*\.ts$|^agent\/server-client\//;

/** An attestor's two halves share only their wire format and options. */
const ATTESTOR_SHARED = /\/(wire|config)\.ts$/;

/** Time, timers, randomness and the environment come in through constructors; only these modules touch them. */
const GLOBALS = /\bDate\.now\(|\bnew Date\(\)|\bsetTimeout\(|\bsetInterval\(|\bprocess\.env\b|\bMath\.random\(/;
const GLOBALS_ALLOWED = /^(lib\/clock\.ts|cli\/)/;

const LONGEST_FILE = 300;

interface Source {
  readonly file: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const sources: readonly Source[] = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => {
    const text = readFileSync(join(SRC, file), "utf8");
    const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g)].map((match) =>
      relative(SRC, resolve(join(SRC, dirname(file)), match[1] ?? "")),
    );
    return { file, text, imports };
  });

const own = sources.filter(({ file }) => !file.startsWith("gen/"));

function layerOf(file: string): string {
  return file.split("/")[0] ?? "";
}

/** All arrows that `isWrong` objects to, as `from -> to`. */
function wrongArrows(isWrong: (from: string, to: string) => boolean): string[] {
  return own.flatMap(({ file, imports }) => imports.filter((to) => isWrong(file, to)).map((to) => `${file} -> ${to}`));
}

describe("architecture", () => {
  test("every folder of src is a known layer", () => {
    expect([...new Set(sources.map(({ file }) => layerOf(file)))].filter((layer) => !(layer in MAY_IMPORT))).toEqual(
      [],
    );
  });

  test("what few configurations use is not loaded at every start", () => {
    const eager = /^import (?!type )[^;]*? from "(?:undici|node:https?)";/m;
    const eagerly = own.filter(({ text }) => eager.test(text)).map(({ file }) => file);
    expect(eagerly).toEqual([]);
    const prometheus = /^import (?!type )[^;]*? from "[^"]*\/prometheus\.ts";/m;
    expect(own.filter(({ text }) => prometheus.test(text)).map(({ file }) => file)).toEqual([]);
  });

  test("imports point one way", () => {
    expect(
      wrongArrows((from, to) => {
        const [source, target] = [layerOf(from), layerOf(to)];
        return target !== "gen" && source !== target && !MAY_IMPORT[source]?.includes(target);
      }),
    ).toEqual([]);
  });

  test("the agent knows the Workload API and the administration socket by their ports only", () => {
    expect(
      wrongArrows((from, to) => {
        const allowed = PORTS_ONLY.get(layerOf(from));
        return allowed !== undefined && SERVED.has(layerOf(to)) && !allowed.test(to);
      }),
    ).toEqual([]);
  });

  test("the Workload API knows attestors by their ports only", () => {
    expect(
      wrongArrows(
        (from, to) => layerOf(from) === "workload-api" && layerOf(to) === "attestors" && to !== "attestors/workload.ts",
      ),
    ).toEqual([]);
  });

  test("generated code stays at the edges", () => {
    expect(wrongArrows((from, to) => layerOf(to) === "gen" && !GEN_ALLOWED.test(from))).toEqual([]);
  });

  test("agent and server load no half of an attestor that is not theirs", () => {
    expect(
      wrongArrows((from, to) => {
        const attestor = /^attestors\/([^/]+)\/(.+)$/;
        const source = attestor.exec(from);
        const target = attestor.exec(to);
        if (source === null || target === null) return false;
        return (
          source[1] !== target[1] ||
          (/^(agent|server)\b/.test(target[2] ?? "") && source[2] !== target[2] && !ATTESTOR_SHARED.test(to))
        );
      }),
    ).toEqual([]);
  });

  test("nothing is global outside the clock and the command line", () => {
    expect(
      own.filter(({ file, text }) => !GLOBALS_ALLOWED.test(file) && GLOBALS.test(text)).map(({ file }) => file),
    ).toEqual([]);
  });

  test("a file has one thought", () => {
    expect(own.filter(({ text }) => text.split("\n").length > LONGEST_FILE).map(({ file }) => file)).toEqual([]);
  });
});
