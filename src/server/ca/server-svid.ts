/** The server's own SVID, fresh at all times; owns the only copy of its key. */
import type { Clock } from "../../lib/clock.ts";
import { errorText } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { isAbort, type Runnable } from "../../lib/tasks.ts";
import { type Watchable, WatchableValue } from "../../lib/watchable.ts";
import { generateKey, spkiOf } from "../../pki/keys.ts";
import { serverId, type TrustDomain } from "../../spiffe/id.ts";
import { rotateAt } from "../../spiffe/rotation.ts";
import type { X509Svid } from "../../spiffe/svid.ts";
import type { X509Authority } from "./authority.ts";
import type { SvidIssuer } from "./issuer.ts";

const TICK_MS = 5_000;

/** What the rotation needs. */
export interface ServerSvidDeps {
  readonly issuer: Pick<SvidIssuer, "issueServerSvid">;
  readonly active: Watchable<X509Authority | undefined>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly trustDomain: TrustDomain;
}

/** `initialize` before listening; `run` renews after half of its life, and when another authority signs. */
export class ServerSvid implements Runnable {
  readonly #deps: ServerSvidDeps;
  readonly #svid = new WatchableValue<X509Svid | undefined>(undefined);
  #renewAt = 0;
  #authorityId: string | undefined;

  constructor(deps: ServerSvidDeps) {
    this.#deps = deps;
  }

  /** The SVID; `undefined` before `initialize`. */
  get svid(): Watchable<X509Svid | undefined> {
    return this.#svid;
  }

  /** Makes the first SVID if there is none. Throws `UNAVAILABLE` while there is no authority. */
  async initialize(): Promise<void> {
    if (this.#svid.value === undefined) await this.#renew();
  }

  /** Looks every five seconds whether it is time. Failures are logged and tried again. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, active, log } = this.#deps;
    await this.initialize();
    try {
      for (;;) {
        await clock.sleep(TICK_MS, signal);
        if (clock.now() < this.#renewAt && active.value?.authorityId === this.#authorityId) continue;
        await this.#renew().catch((error: unknown) =>
          log.error("Could not renew the server's X509-SVID; trying again", { error: errorText(error) }),
        );
      }
    } catch (error) {
      if (!isAbort(error, signal)) throw error;
    }
  }

  async #renew(): Promise<void> {
    const { issuer, random, log, trustDomain } = this.#deps;
    const privateKey = await generateKey("ec-p256");
    const { chain, notBefore, notAfter, authorityId } = await issuer.issueServerSvid({ spki: spkiOf(privateKey) });
    this.#renewAt = rotateAt({ notBefore, notAfter }, () => random.unit());
    this.#authorityId = authorityId;
    this.#svid.set({ spiffeId: serverId(trustDomain), chain, privateKey, notBefore, notAfter });
    log.info("The server's X509-SVID is new", { expires_at: new Date(notAfter).toISOString() });
  }
}
