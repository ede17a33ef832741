/** The code that `docs/clients.md` shows, which is the code that the tests run. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const PAGE = resolve(import.meta.dirname, "../../../docs/clients.md");

/** The block below the line that names the file, as in "`client.py`:". */
export function codeOf(file: string): string {
  const page = readFileSync(PAGE, "utf8");
  const begin = page.indexOf(`\n\`${file}\`:\n\n\`\`\``);
  if (begin < 0) throw new Error(`docs/clients.md shows no ${file}`);
  const code = page.indexOf("\n", page.indexOf("```", begin)) + 1;
  return page.slice(code, page.indexOf("\n```\n", code) + 1);
}
