/** `holdfast.server.v1.Watch`: tells an agent at once that its entries or bundles changed. */
import { type WatchAuthorizedResponse, WatchService } from "../../gen/holdfast/server/v1/watch.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Random } from "../../lib/random.ts";
import { turn } from "../../lib/turn.ts";
import type { EntryIndexView } from "../ports.ts";
import { callingAgent } from "../rpc-context.ts";
import type { WatchHub } from "../watch.ts";
import { type NamedMethod, streamMethod } from "./method.ts";

/** What the service needs. */
export interface WatchServiceDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly index: Pick<EntryIndexView, "revisions">;
  readonly hub: WatchHub;
}

const HEARTBEAT_MS = 30_000;
/** A stream ends by itself before this, so that the agent comes back on a new connection, perhaps to another server. */
const MAX_AGE_MS = 180_000;

/** The service's methods. */
export function watchMethods(deps: WatchServiceDeps): readonly NamedMethod[] {
  return [
    streamMethod(
      WatchService.watchAuthorized,
      async function* (_request, context, signal): AsyncGenerator<WatchAuthorizedResponse> {
        const { agentId } = callingAgent(context);
        using opened = deps.hub.open(agentId);
        const endAt = deps.clock.monotonic() + MAX_AGE_MS * (0.8 + 0.2 * deps.random.unit());
        const heartbeat = (fire: () => void): (() => void) => {
          const left = endAt - deps.clock.monotonic();
          return deps.clock.after(Math.max(0, Math.min(HEARTBEAT_MS, left)), fire);
        };
        while (deps.clock.monotonic() < endAt) {
          const { event, spreadMs } = await opened.stream.next(heartbeat, signal);
          if (event === "replaced") return;
          // Changes that are committed together are told together.
          if (event === "changed") await turn();
          await context.reauthorize();
          if (event === "recheck") continue;
          const { entries, bundles } = deps.index.revisions(agentId);
          yield {
            entriesRevision: entries,
            bundleRevision: bundles,
            spreadMs,
            heartbeat: event === "heartbeat",
          };
        }
      },
    ),
  ];
}
