/** Check `join_token`: whether the agent has what it takes to join. The token itself is never shown. */
import { readFileSync, statSync } from "node:fs";
import type { JoinTokenConfig } from "../../../config/agent-config.ts";
import { fail, ok, type Verdict, warn } from "./check.ts";
import { errnoOf } from "./words.ts";

/** What is configured. */
export interface JoinTokenFacts {
  /** Whether a stored SVID makes a token needless. */
  readonly hasJoined: boolean;
  /** Whether the SVID is kept across restarts. */
  readonly keepsKey: boolean;
  readonly token:
    | { readonly kind: "none" }
    | { readonly kind: "token" }
    | { readonly kind: "file"; readonly path: string; readonly problem: string | undefined };
}

/** As the attestor has it. */
const MAX_TOKEN_BYTES = 255;
/** White space may surround it. */
const MAX_FILE_BYTES = 65_536;
const MAKE_ONE =
  "make one with `holdfast-server token generate` and give it with -joinToken, -joinTokenFile or join_token";

/** Looks at the configuration, and at the file that it may name. */
export function joinTokenFacts(config: JoinTokenConfig | undefined): JoinTokenFacts["token"] {
  if (config === undefined) return { kind: "none" };
  if (config.kind === "token") return { kind: "token" };
  const { path } = config;
  try {
    const stats = statSync(path);
    // What is read from a pipe is gone, and the agent still needs it.
    if (!stats.isFile()) return { kind: "file", path, problem: stats.isDirectory() ? "is a folder" : undefined };
    if (stats.size > MAX_FILE_BYTES) return { kind: "file", path, problem: "is too long for a token" };
    const length = Buffer.byteLength(readFileSync(path, "utf8").trim());
    const problem = length === 0 ? "is empty" : length > MAX_TOKEN_BYTES ? "is too long for a token" : undefined;
    return { kind: "file", path, problem };
  } catch (error) {
    return { kind: "file", path, problem: `cannot be read: ${errnoOf(error)}` };
  }
}

/** Decides. */
export function judgeJoinToken({ hasJoined, keepsKey, token }: JoinTokenFacts): Verdict {
  if (hasJoined) return ok("not needed: the agent has joined");
  if (token.kind === "none") return fail("none is configured, and the agent has no SVID that is still valid", MAKE_ONE);
  if (token.kind === "file" && token.problem !== undefined) return fail(`${token.path} ${token.problem}`, MAKE_ONE);
  const found = token.kind === "file" ? `one is in ${token.path}` : "one is configured";
  if (!keepsKey) {
    return warn(
      `${found}, and KeyManager is "memory"`,
      'a token works once, so each restart needs a new one: use KeyManager "disk"',
    );
  }
  return ok(`${found}; only the server knows whether it is still good`);
}
