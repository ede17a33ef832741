/** What the server's halves of node attestors are made with. */
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import type { TrustDomain } from "../../spiffe/id.ts";

/** The same for all; each takes what it needs. */
export interface NodeAttestorDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly trustDomain: TrustDomain;
}
