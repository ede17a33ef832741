/** Our own verdicts: on the path alone, which others can judge, too, and on the chain as an X509-SVID. */
import { AgentError } from "../../../src/lib/errors.ts";
import { validateX509Svid } from "../../../src/pki/validate.ts";
import { validateChain } from "../../../src/pki/validate-chain.ts";
import { parseTrustDomain } from "../../../src/spiffe/id.ts";
import type { MadeChain } from "./plan.ts";
import { CORPUS_NOW } from "./plan.ts";

/** `ok`, or the refusal, which begins with the check. */
export interface OwnVerdict {
  readonly path: string;
  readonly svid: string;
}

export function ownVerdict({ chain, authorities }: MadeChain): OwnVerdict {
  const trustDomain = parseTrustDomain("example.org");
  return {
    path: verdict(() => validateChain(chain, authorities, { now: CORPUS_NOW, checkLeaf: () => {} })),
    svid: verdict(() => validateX509Svid(chain, authorities, { now: CORPUS_NOW, trustDomain })),
  };
}

/** The check that a refusal names. */
export function checkOf(verdict: string): string {
  return verdict.slice(0, verdict.indexOf(":"));
}

function verdict(run: () => unknown): string {
  try {
    run();
    return "ok";
  } catch (error) {
    if (error instanceof AgentError && error.code === "UNTRUSTED") return error.message;
    throw error;
  }
}
