/** Has the server make the JWT-SVIDs for the reserve, one at a time, the most urgent first, and renew them in time. */
import type { Clock } from "../lib/clock.ts";
import { errorCode, errorText } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import type { Watchable } from "../lib/watchable.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { HealthFacts } from "./health.ts";
import { acceptIssuedJwt, type SignedToken } from "./issued-jwt.ts";
import { LONGEST_TOKEN, type Remembered } from "./jwt-asked.ts";
import type { JwtReserve } from "./jwt-reserve.ts";
import { type EntryVersion, type ReserveToken, reserveRefreshAt } from "./jwt-reserve-plan.ts";
import { retryDelay } from "./retry-delay.ts";
import { Wakeup } from "./wakeup.ts";

/** Has the server sign a token for the reserve, and tells how many audiences an identity may have. */
export type SignReserve = (
  entryId: string,
  audience: readonly string[],
  signal: AbortSignal,
) => Promise<{ readonly signed: SignedToken; readonly maxAudiences: number }>;

/** What `ReserveMaker` is made of. */
export interface ReserveMakerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly health: { readonly facts: Pick<Watchable<HealthFacts>, "value"> };
  /** The entry as it is now, if workloads may have it. */
  readonly entry: (entryId: string) => AuthorizedEntry | undefined;
  readonly reserve: JwtReserve;
  readonly sign: SignReserve;
  /** Grows with each new connection. */
  readonly generation: Pick<Watchable<number>, "value">;
}

/** What is asked for just now need not be had at once. */
const PAUSE_MS = 500;
const LONGEST_WAIT_MS = 60_000;
/** A server that does not know of reserves learns it only by starting anew, which another connection would show. */
const ASK_AGAIN_MS = 10 * 60_000;
/** A server's mistake must not fill our memory. */
const MOST_AUDIENCES = 64;
const BACKOFF_MS = 5_000;

/** Runs beside the other signers. */
export class ReserveMaker {
  readonly #deps: ReserveMakerDeps;
  readonly #wakeup: Wakeup;
  #maxAudiences = MOST_AUDIENCES;
  /** The server gives none, on this connection and for some time. */
  #off: { readonly generation: number; readonly until: number } | undefined;
  #generation = 0;

  constructor(deps: ReserveMakerDeps) {
    this.#deps = deps;
    this.#wakeup = new Wakeup(deps.clock);
    deps.reserve.onWanted = () => this.#wakeup.wake();
  }

  /** Has tokens made and renewed until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#deps;
    for (let failures = 0; ; ) {
      try {
        await this.#pass(signal);
        failures = 0;
        await clock.sleep(PAUSE_MS, signal);
        await this.#wakeup.wait(LONGEST_WAIT_MS, signal);
      } catch (error) {
        signal.throwIfAborted();
        failures++;
        log.debug("Could not have a JWT-SVID for the reserve", { error: errorText(error) });
        await clock.sleep(
          retryDelay(error, failures, BACKOFF_MS, () => random.unit()),
          signal,
        );
      }
      // Who waits for a token now goes first.
      while (this.#deps.health.facts.value.unreachableSince !== undefined) {
        await clock.sleep(BACKOFF_MS * (0.2 + 0.8 * random.unit()), signal);
      }
    }
  }

  /** Throws for what the next try may mend. */
  async #pass(signal: AbortSignal): Promise<void> {
    const { clock, reserve } = this.#deps;
    const generation = this.#deps.generation.value;
    if (generation !== this.#generation) {
      // It may be another server, or one that was told otherwise.
      this.#generation = generation;
      reserve.forgetRefusals();
    }
    for (let maxAudiences = 0; maxAudiences !== this.#maxAudiences; ) {
      maxAudiences = this.#maxAudiences;
      for (const asked of reserve.plan(maxAudiences)) {
        if (this.#isOff()) return;
        if ((asked.restUntil ?? Number.NEGATIVE_INFINITY) > clock.monotonic()) continue;
        await this.#renew(asked, signal);
        if (maxAudiences !== this.#maxAudiences) break;
      }
    }
  }

  #isOff(): boolean {
    const { clock, generation } = this.#deps;
    return this.#off?.generation === generation.value && clock.monotonic() < this.#off.until;
  }

  async #renew(asked: Remembered, signal: AbortSignal): Promise<void> {
    const { clock, reserve, sign } = this.#deps;
    const { entryId, audience } = asked;
    const entry = this.#deps.entry(entryId);
    if (entry === undefined) return;
    const version = { revision: entry.revision, createdAt: entry.createdAt };
    let token: ReserveToken | undefined;
    try {
      const { signed, maxAudiences } = await sign(entryId, audience, signal);
      this.#maxAudiences = Math.max(1, Math.min(MOST_AUDIENCES, maxAudiences));
      token = this.#accept(signed, entry, audience);
    } catch (error) {
      signal.throwIfAborted();
      if (!this.#isAnswer(errorCode(error), asked, version)) throw error;
    }
    if (reserve.put(asked, token)) delete asked.restUntil;
    else asked.restUntil = clock.monotonic() + LONGEST_WAIT_MS;
  }

  /** Undefined for what cannot be used. */
  #accept(signed: SignedToken, entry: AuthorizedEntry, audience: readonly string[]): ReserveToken | undefined {
    const { clock, random, log } = this.#deps;
    const { revision, createdAt } = entry;
    const now = clock.now();
    try {
      const svid = acceptIssuedJwt(signed, { entry, audience, now });
      if (svid.token.length > LONGEST_TOKEN) return undefined;
      const refreshAt = reserveRefreshAt(svid, now, () => random.unit());
      return { svid, refreshAt, version: { revision, createdAt } };
    } catch (error) {
      log.warn("Unusable JWT-SVID for the reserve", { entry_id: entry.entryId, error: errorText(error) });
      return undefined;
    }
  }

  /** Whether the error says that there is no token, and none may be held; then it is remembered. */
  #isAnswer(code: string, asked: Remembered, version: EntryVersion): boolean {
    switch (code) {
      case "UNIMPLEMENTED":
        this.#off = { generation: this.#deps.generation.value, until: this.#deps.clock.monotonic() + ASK_AGAIN_MS };
        this.#deps.reserve.dropAll();
        this.#deps.log.debug("The server gives no JWT-SVIDs for the reserve");
        return true;
      case "FAILED_PRECONDITION":
      case "INVALID_ARGUMENT":
        asked.refused = version;
        return true;
      case "NOT_FOUND":
      case "MALFORMED":
        return true;
      default:
        return false;
    }
  }
}
