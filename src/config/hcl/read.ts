/** Reads a configuration file, HCL or JSON by its content, into one tree. */
import { parseJson } from "./json.ts";
import { MAX_BYTES, type ObjectNode, SyntaxProblem } from "./node.ts";
import { parseHcl } from "./parser.ts";

/** Reads a file's text. JSON is what starts with `{`, which no HCL file can. Throws `SyntaxProblem`. */
export function readTree(text: string): ObjectNode {
  if (Buffer.byteLength(text) > MAX_BYTES) {
    throw new SyntaxProblem({ line: 1, column: 1 }, `the file is larger than ${MAX_BYTES} bytes`);
  }
  const content = text.startsWith("\ufeff") ? text.slice(1) : text;
  return content.trimStart().startsWith("{") ? parseJson(content) : parseHcl(content);
}
