/** Judges that are not ours: the `openssl` program, once as it is and once strictly, and Go's crypto/x509. */
import { spawn, spawnSync } from "node:child_process";
import { createReadStream, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pemEncode } from "../../../src/pki/pem.ts";
import type { CorpusChain } from "./generate.ts";
import { CORPUS_NOW } from "./plan.ts";

/** By the chain's number: `ok`, or why it was refused. */
export type Verdicts = ReadonlyMap<number, string>;

/** What a program says of its version; `undefined` when it is not there. */
export function versionOf(program: "openssl" | "go"): string | undefined {
  const { status, stdout } = spawnSync(program, ["version"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

/** Writes a corpus for the oracles into a folder. */
export function writeCorpus(folder: string, corpus: readonly CorpusChain[]): void {
  const lines: string[] = [];
  for (const { id, chain, authorities } of corpus) {
    const base64 = (ders: readonly Uint8Array[]): string[] => ders.map((der) => Buffer.from(der).toString("base64"));
    lines.push(JSON.stringify({ id, now: CORPUS_NOW, chain: base64(chain), authorities: base64(authorities) }));
    const at = join(folder, String(id));
    mkdirSync(at);
    const write = (name: string, ders: readonly Uint8Array[]): void =>
      writeFileSync(join(at, name), ders.map((der) => pemEncode("CERTIFICATE", der)).join(""));
    write("leaf", chain.slice(0, 1));
    write("trusted", authorities);
    if (chain.length > 1) write("untrusted", chain.slice(1));
  }
  writeFileSync(join(folder, "corpus.jsonl"), `${lines.join("\n")}\n`);
}

/**
 * `openssl verify` on each chain: a process each, for it takes one set of authorities, and one shell for all. Any CA
 * may be an anchor, and no purpose is asked for, as in our validator.
 */
export async function opensslVerdicts(folder: string, ids: readonly number[], ...more: string[]): Promise<Verdicts> {
  const options = ["-partial_chain", "-purpose", "any", "-attime", String(CORPUS_NOW / 1000), ...more].join(" ");
  const script = `
    while read -r id; do
      set --
      if [ -e "$id/untrusted" ]; then set -- -untrusted "$id/untrusted"; fi
      echo "== $id"
      openssl verify ${options} -trusted "$id/trusted" "$@" "$id/leaf" 2>&1
      echo "-- $?"
    done`;
  const output = await run("sh", ["-c", script], folder, ids.map((id) => `${id}\n`).join(""));
  return new Map(
    output
      .split(/^== /m)
      .slice(1)
      .map((part) => {
        const status = /^-- (\d+)$/m.exec(part)?.[1];
        const reason = /^error (\d+ at \d+ depth lookup: .*)$/m.exec(part)?.[1] ?? part.split("\n")[1] ?? "";
        return [Number.parseInt(part, 10), status === "0" ? "ok" : reason];
      }),
  );
}

/** crypto/x509 on the whole corpus, in one process. Throws when the program cannot be built. */
export async function goVerdicts(folder: string): Promise<Verdicts> {
  const program = join(folder, "corpus-go");
  const built = spawnSync("go", ["build", "-o", program, "."], {
    cwd: join(import.meta.dirname, "go"),
    encoding: "utf8",
    env: { ...process.env, GOFLAGS: "-mod=mod", GOTOOLCHAIN: "local" },
  });
  if (built.status !== 0) throw new Error(`go build: ${built.stderr}`);
  const output = await run(program, [], folder, join(folder, "corpus.jsonl"), true);
  return new Map(
    output
      .trimEnd()
      .split("\n")
      .map((line) => [Number.parseInt(line, 10), line.slice(line.indexOf("\t") + 1)]),
  );
}

async function run(program: string, args: string[], cwd: string, input: string, isFile = false): Promise<string> {
  const child = spawn(program, args, { cwd, stdio: ["pipe", "pipe", "inherit"] });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  if (isFile) createReadStream(input).pipe(child.stdin);
  else child.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
  return Buffer.concat(chunks).toString("utf8");
}
