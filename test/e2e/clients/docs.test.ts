/** What `docs/clients.md` shows is what the tests run. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { codeOf } from "./docs.ts";

const FILES = [
  "go/main.go",
  "python/client.py",
  "python/reflect.py",
  "rust/Cargo.toml",
  "rust/src/main.rs",
  "java/pom.xml",
  "java/Client.java",
  "node/client.mjs",
];

test.for(FILES)("%s is on the page as it is", (file) => {
  expect(codeOf(file.slice(file.indexOf("/") + 1))).toBe(readFileSync(join(import.meta.dirname, file), "utf8"));
});
