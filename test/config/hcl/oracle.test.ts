/** Compares the reader with HashiCorp's (of HCL 2, which shares this much of its syntax). */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parse } from "@cdktf/hcl2json";
import { describe, expect, test } from "vitest";
import type { Node } from "../../../src/config/hcl/node.ts";
import { readTree } from "../../../src/config/hcl/read.ts";

/** HCL 2 does not tell blocks from assigned objects as HCL 1 does: both sides are merged into one shape. */
interface Merged {
  readonly values: unknown[];
  readonly keys: Record<string, Merged>;
}

function empty(): Merged {
  return { values: [], keys: {} };
}

function child(target: Merged, key: string): Merged {
  target.keys[key] ??= empty();
  return target.keys[key];
}

function mergeNode(target: Merged, node: Node): void {
  if (node.kind === "object") for (const { key, value } of node.entries) mergeNode(child(target, key), value);
  else if (node.kind === "list" && node.items.some(({ kind }) => kind === "object")) {
    for (const item of node.items) mergeNode(target, item);
  } else target.values.push(scalar(node));
}

function scalar(node: Node): unknown {
  return node.kind === "list" ? node.items.map(scalar) : "value" in node ? node.value : null;
}

function mergeForeign(target: Merged, value: unknown): void {
  if (Array.isArray(value) && value.some((item) => typeof item === "object" && !Array.isArray(item))) {
    for (const item of value) mergeForeign(target, item);
  } else if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    for (const [key, item] of Object.entries(value)) mergeForeign(child(target, key), item);
  } else target.values.push(value);
}

async function compare(name: string, text: string): Promise<void> {
  const [ours, theirs] = [empty(), empty()];
  mergeNode(ours, readTree(text));
  mergeForeign(theirs, await parse(name, text));
  expect(ours).toEqual(theirs);
}

const DOCUMENTS: Readonly<Record<string, string>> = {
  "blocks and labels": `
    agent {
      data_dir = "./.data" # comment
      log_level = "DEBUG" // comment
      server_port = "8081"
      trust_domain = "example.org" /* comment */
    }
    plugins {
      NodeAttestor "join_token" {
        plugin_data {}
      }
      KeyManager "disk" {
        plugin_data {
          directory = "./.data"
        }
      }
      WorkloadAttestor "unix" {
        plugin_data {
        }
      }
    }`,
  "two labels": `
    a "b" "c" {
      d = 1
    }
    a "b" "e" {
      d = 2
    }`,
  numbers: `
    a = 0
    b = 12.5
    c = 1e3
    d = 2.5e-2
    e = 8081`,
  strings: String.raw`
    a = "quote \" backslash \\ tab \t line \n"
    b = "\u00e9 été"
    c = ""`,
  "here-documents": `
    a = <<EOF
one
  two
EOF
    b = <<-EOF
      one
        two
      EOF
    c = 1`,
  lists: `
    a = ["x", "y", ]
    b = []
    c = [1, 2.5, true]
    d = [["x"], ["y"]]
    e = [
      { f = "g" },
      { f = "h" },
    ]`,
  objects: `
    a = { b = 1, c = { d = true } }
    e {
      f = {}
    }`,
};

describe("documents that both read", () => {
  test.each(Object.entries(DOCUMENTS))("%s", async (name, text) => {
    await compare(`${name}.hcl`, text);
  });
});

const source = process.env.SPIRE_SOURCE;
const spire = source === undefined ? describe.skip : describe;

spire(`every .conf file of SPIRE's source (set SPIRE_SOURCE to a checkout to run this)`, () => {
  const files = source === undefined ? [] : confFiles(source);
  /** Files of other programs, and one with a placeholder (it exists twice): HCL 1 takes none of them. */
  const foreign =
    /supervisord\.conf$|slurm\/[a-z]+\.conf$|suites\/(?:events-based-)?entries\/conf\/server\/server\.conf$/;
  /** HCL 1 that HCL 2 no longer takes. */
  const older: string[] = [];

  test.each(files)("%s", async (file) => {
    const text = readFileSync(file, "utf8");
    if (foreign.test(file)) {
      expect(() => readTree(text)).toThrow();
      return;
    }
    readTree(text);
    const accepted = await parse(file, text).then(
      () => true,
      () => false,
    );
    if (accepted) await compare(file, text);
    else older.push(file);
  });

  test("nearly all of them could be compared", () => {
    expect(files.length).toBeGreaterThan(100);
    expect(older.length).toBeLessThan(10);
  });
});

function confFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".conf"))
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile());
}
