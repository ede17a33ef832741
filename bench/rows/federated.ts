/** Row: a caller whose entries federate with 100 trust domains, one of which has a new bundle. */
import { foreignBundle } from "../lib/foreign-bundle.ts";
import type { StreamKind } from "../lib/held-streams.ts";
import { Pair } from "../lib/pair.ts";
import { pause, prepared } from "../lib/prepared.ts";
import { type Measure, ratioAtMost, type Scenario, type Values } from "../lib/scenario.ts";
import { updateCost } from "../lib/update-cost.ts";

const DOMAINS = 100;
const STREAMS = 100;
const LANES = 20;
const SETTLE_MS = 2_000;
const TIMEOUT_MS = 60_000;
const KINDS = ["FetchX509SVID", "FetchX509Bundles", "FetchJWTBundles"] as const satisfies readonly StreamKind[];

const MEASURES: readonly Measure[] = KINDS.flatMap((kind) => [
  { key: `${kind}-cpu`, label: `${kind}, 100 streams: agent's CPU for an update`, unit: "ms", target: ratioAtMost(1) },
  { key: `${kind}-span`, label: "… first to last", unit: "ms", target: ratioAtMost(1) },
  { key: `${kind}-kilobytes`, label: "… bytes each", unit: "KB" },
]);

/** Each bundle has two X.509 authorities and two JWT keys, or three where it is the newer one. */
export const federated: Scenario = {
  name: "federated-100",
  title: "a caller that federates with 100 trust domains",
  warm: true,
  measures: MEASURES,
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const domains = Array.from({ length: context.quick ? 5 : DOMAINS }, (_, index) => `domain-${index}.test`);
      const streams = context.quick ? 5 : STREAMS;
      const pair = stack.use(await Pair.start(subject, context));
      await pair.admin.setBundles(await Promise.all(domains.map((name) => foreignBundle(name, 2))));
      const made = pair.ofCaller(1, "federated").map((entry) => ({ ...entry, federatesWith: domains }));
      await pair.workload.call("watch", { socket: pair.socket });
      await pair.admin.createEntries(made, 1);
      const id = "spiffe://example.org/federated/0";
      await pair.workload.call("noticed", { id, what: "seen", timeoutMs: TIMEOUT_MS });
      await pair.workload.call("unwatch");
      let authorities = 2;
      const round = async (kind: StreamKind): Promise<Values> => {
        await pair.workload.call("hold", { socket: pair.socket, count: streams, lanes: LANES, kind });
        authorities = 5 - authorities;
        const next = await foreignBundle(domains[0] ?? "", authorities);
        await pause(SETTLE_MS);
        const { cpu, span, kilobytes, messages } = await updateCost(pair, streams, () => pair.admin.setBundles([next]));
        if (messages > 1) context.note(`${kind}: ${messages} messages for an update`);
        await pair.workload.call("release");
        return { [`${kind}-cpu`]: cpu, [`${kind}-span`]: span, [`${kind}-kilobytes`]: kilobytes };
      };
      return async () => {
        const values: Values[] = [];
        for (const kind of KINDS) values.push(await round(kind));
        return Object.assign({}, ...values) as Values;
      };
    }),
};
