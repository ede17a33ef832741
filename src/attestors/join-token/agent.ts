/** `join_token` on the agent: the proof is a one-time token that the server's operator made. */
import { readFile } from "node:fs/promises";
import { AgentError } from "../../lib/errors.ts";
import type { AgentNodeAttestor, Attestation } from "../node.ts";

/** The token itself, or the file that holds it, read at each attempt so that an operator can put a new one there. */
export type JoinTokenSource =
  | { readonly kind: "token"; readonly token: string }
  | { readonly kind: "file"; readonly path: string };

/** Longest token in bytes; the server's column holds no more, and a wrong file must not be sent. */
const MAX_TOKEN_BYTES = 255;

/** Sends the token. It is spent by the first attestation that the server accepts; there is no challenge. */
export class JoinTokenAgentAttestor implements AgentNodeAttestor {
  readonly name = "join_token";
  readonly #source: JoinTokenSource;

  constructor(source: JoinTokenSource) {
    this.#source = source;
  }

  /** Throws `INVALID_ARGUMENT` without a usable token, `UNAVAILABLE` when the file cannot be read. */
  async begin(_request: unknown, signal: AbortSignal): Promise<Attestation> {
    const payload = tokenBytes(this.#source.kind === "token" ? this.#source.token : await this.#read(signal));
    return {
      payload,
      respond: async () => {
        throw new AgentError("FAILED_PRECONDITION", "the server challenged a join token, which has no answer");
      },
      async [Symbol.asyncDispose]() {},
    };
  }

  async #read(signal: AbortSignal): Promise<string> {
    const { path } = this.#source as Extract<JoinTokenSource, { kind: "file" }>;
    try {
      return await readFile(path, { encoding: "utf8", signal });
    } catch (error) {
      signal.throwIfAborted();
      throw new AgentError("UNAVAILABLE", `cannot read the join token file ${path}`, { cause: error });
    }
  }
}

/** White space around the token is not part of it: files end with a newline. */
function tokenBytes(text: string): Uint8Array {
  const token = text.trim();
  if (token === "") throw new AgentError("INVALID_ARGUMENT", "the join token is empty");
  const bytes = Buffer.from(token, "utf8");
  if (bytes.length > MAX_TOKEN_BYTES) {
    throw new AgentError("INVALID_ARGUMENT", `the join token is longer than ${MAX_TOKEN_BYTES} bytes`);
  }
  return bytes;
}
