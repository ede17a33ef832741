/** The WIT methods of the Workload API (section 7, incubating). */
import { WITBundlesRequest, WITSVIDRequest } from "../gen/workload/workload.ts";
import { publicError } from "../lib/errors.ts";
import type { Method, Reply } from "../lib/rpc/transport.ts";
import type { ConnectedPeer } from "./peer.ts";
import type { WitFollower, WitSource, WitState, WorkloadUpdate } from "./ports.ts";
import { checkRequestedId, hasIdentity, isSynced, requestedEntries } from "./served.ts";
import { type Story, type StreamHost, storytelling } from "./update-stream.ts";
import { type EntryWit, WitEncoder } from "./wit-encoder.ts";

/** What the WIT methods are made of. */
export interface WitDeps {
  readonly host: StreamHost;
  readonly wits: WitSource;
}

/** How the WIT methods behave. */
export interface WitOptions {
  /** Whether callers without an identity get the bundle of our own trust domain. */
  readonly allowUnauthenticatedVerifiers: boolean;
}

/** `FetchWITSVID` and `FetchWITBundles`. */
export function witMethods(
  { host, wits }: WitDeps,
  { allowUnauthenticatedVerifiers }: WitOptions,
): [name: string, method: Method<ConnectedPeer>][] {
  const encoder = new WitEncoder();
  const bundles: Story = {
    tell(update) {
      if (!isSynced(update)) return undefined;
      requireProfile(update);
      return allowUnauthenticatedVerifiers || hasIdentity(update) ? encoder.bundles(update) : null;
    },
  };
  return [
    [
      "FetchWITSVID",
      storytelling(host, WITSVIDRequest, ({ spiffeId }) => {
        checkRequestedId(spiffeId);
        return (changed) => new WitSvidStory(wits.follow(changed), encoder, spiffeId);
      }),
    ],
    ["FetchWITBundles", storytelling(host, WITBundlesRequest, () => () => bundles)],
  ];
}

/** The first message has all that the caller may have, but for what cannot be had; from then on each change is told. */
class WitSvidStory implements Story {
  readonly #follower: WitFollower;
  readonly #encoder: WitEncoder;
  readonly #spiffeId: string;

  constructor(follower: WitFollower, encoder: WitEncoder, spiffeId: string) {
    this.#follower = follower;
    this.#encoder = encoder;
    this.#spiffeId = spiffeId;
  }

  tell(update: WorkloadUpdate, isFirst: boolean): Reply | null | undefined {
    if (!isSynced(update)) return undefined;
    requireProfile(update);
    const entries = requestedEntries(update, this.#spiffeId);
    if (entries.length === 0) return null;
    const states = this.#follower.look(entries);
    const ready = states.filter(isReady);
    if (ready.length === 0) {
      if (this.#follower.isRefused) throw unsupported();
      // They are on their way: saying that there is no identity would be wrong.
      return undefined;
    }
    if (isFirst && states.some(({ svid, failed }) => svid === undefined && !failed) && !this.#follower.isRefused) {
      return undefined;
    }
    return this.#encoder.svids(ready);
  }

  close(): void {
    this.#follower.close();
  }
}

function isReady(state: WitState): state is WitState & EntryWit {
  return state.svid !== undefined;
}

/** No WIT-SVID could be verified by a bundle without WIT authorities: the server has none, or does not tell of them. */
function requireProfile({ bundle }: WorkloadUpdate): void {
  if (bundle.witAuthorities.length === 0) throw unsupported();
}

/** API-02. */
function unsupported(): Error {
  return publicError("UNIMPLEMENTED", "the server issues no WIT-SVIDs");
}
