/** From nothing, or from what was stored, to an agent SVID. Waits for ever for a server, never for an operator's mistake. */
import { type BackoffSchedule, backoffDelay } from "../lib/backoff.ts";
import type { Clock } from "../lib/clock.ts";
import { AgentError, type ErrorCode, errorCode, errorText } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { Metrics } from "../lib/metrics.ts";
import type { Random } from "../lib/random.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import { isExpired } from "../spiffe/rotation.ts";
import type { AgentData } from "./agent-data.ts";
import type { Attested } from "./attest.ts";
import type { BootstrapAttempt } from "./bootstrap-bundle.ts";
import { goodTime } from "./good-time.ts";
import { retryAfterMs } from "./server-client-errors.ts";
import type { AgentStorage } from "./storage.ts";

/** What bootstrapping needs. */
export interface BootstrapDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly storage: AgentStorage;
  /** Reads the configured bundle. */
  readonly readBundle: (attempt: BootstrapAttempt, signal: AbortSignal) => Promise<TrustBundle | "insecure">;
  /** The server could not be reached; it is tried again. */
  readonly onFailed: (error: unknown) => void;
  /** Attests once. */
  readonly attest: (trust: TrustBundle | "insecure", signal: AbortSignal) => Promise<Attested>;
}

const RETRY: BackoffSchedule = { initialMs: 5_000, maxMs: 30_000, multiplier: 1.5, jitter: 0.1 };
/** An SVID in its last second is no use to anyone. */
const EXPIRY_MARGIN_MS = 1_000;

/**
 * Failures that waiting does not mend. Nothing is served yet at this point, so the process may end and say why:
 * a used or unknown token, a refusal, an attestor that the server lacks, a server that is not ours.
 */
const FATAL: ReadonlySet<ErrorCode> = new Set([
  "INVALID_ARGUMENT",
  "FAILED_PRECONDITION",
  "PERMISSION_DENIED",
  "UNAUTHENTICATED",
  "UNIMPLEMENTED",
  "UNTRUSTED",
  "MALFORMED",
]);

/**
 * Returns the stored identity if it still works, without touching the network; else attests, again and again while
 * the server cannot be reached, and stores the outcome. Throws what is fatal, or the signal's reason.
 */
export async function bootstrap(
  deps: BootstrapDeps,
  stored: AgentData | undefined,
  signal: AbortSignal,
): Promise<Attested> {
  const { clock, log } = deps;
  const reusable = reuse(stored, clock.now(), log);
  if (reusable !== undefined) {
    log.info("Using the stored agent SVID", {
      spiffe_id: reusable.identity.svid.spiffeId,
      expires_at: new Date(reusable.identity.svid.notAfter).toISOString(),
    });
    return reusable;
  }
  await proveWritable(deps.storage, stored);
  const attested = await attestUntilDone(deps, stored, signal);
  log.info("Node attestation was successful", {
    spiffe_id: attested.identity.svid.spiffeId,
    reattestable: attested.identity.reattestable,
  });
  try {
    const lastGoodTime = goodTime(attested.identity.svid, clock.now(), stored?.lastGoodTime ?? 0);
    await deps.storage.save({ ...attested, lastGoodTime });
  } catch (error) {
    log.error("Could not store the agent SVID; a restart would have to attest anew", { error: errorText(error) });
  }
  return attested;
}

/** A host without a battery may wake up in the past: the SVID is judged by the latest time that the agent has seen. */
function reuse(stored: AgentData | undefined, now: number, log: Logger): Attested | undefined {
  if (stored?.identity === undefined || stored.bundle === undefined) return undefined;
  if (now < stored.lastGoodTime) {
    log.warn("The clock is behind the time at which this agent last ran", {
      last_good_time: new Date(stored.lastGoodTime).toISOString(),
    });
  }
  if (isExpired(stored.identity.svid, Math.max(now, stored.lastGoodTime) + EXPIRY_MARGIN_MS)) {
    log.warn("The stored agent SVID has expired", {
      expires_at: new Date(stored.identity.svid.notAfter).toISOString(),
    });
    return undefined;
  }
  return { identity: stored.identity, bundle: stored.bundle };
}

/** A token is spent by the attestation: better to learn before it that its fruit could not be kept. */
async function proveWritable(storage: AgentStorage, stored: AgentData | undefined): Promise<void> {
  await storage.save(stored ?? { lastGoodTime: 0 });
}

async function attestUntilDone(
  deps: BootstrapDeps,
  stored: AgentData | undefined,
  signal: AbortSignal,
): Promise<Attested> {
  const { clock, random, log, metrics } = deps;
  const startedAt = clock.now();
  const attempts = metrics.gauge("bootstrap_attempts", { help: "Attempts to attest since the start." });
  for (let failures = 0; ; ) {
    attempts.set(failures + 1);
    try {
      const trust = stored?.bundle ?? (await deps.readBundle({ failures, startedAt }, signal));
      if (trust === "insecure") {
        log.warn("Insecure bootstrap is enabled: whoever answers is taken for the server, this once");
      }
      const attested = await deps.attest(trust, signal);
      metrics.gauge("bootstrap_seconds", { help: "Time to attest." }).set((clock.now() - startedAt) / 1_000);
      return attested;
    } catch (error) {
      signal.throwIfAborted();
      if (isFatal(error, stored)) throw explain(error);
      failures++;
      deps.onFailed(error);
      const wait = Math.max(
        backoffDelay(RETRY, failures, () => random.unit()),
        retryAfterMs(error),
      );
      log.error("Could not attest; trying again", { error: errorText(error), retry_interval: Math.round(wait) });
      await clock.sleep(wait, signal);
    }
  }
}

/** With a stored bundle a server that is not ours may be an intruder that goes away; on a first start it is a mistake. */
function isFatal(error: unknown, stored: AgentData | undefined): boolean {
  const code = errorCode(error);
  return FATAL.has(code) && !(code === "UNTRUSTED" && stored?.bundle !== undefined);
}

function explain(error: unknown): AgentError {
  return new AgentError(errorCode(error), "this agent could not be attested and cannot start", { cause: error });
}
