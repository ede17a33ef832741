/** The bench's nodes with TPMs of software, in a process of its own: payloads are made beforehand, challenges answered as they come. */
import { attestOver } from "./lib/attest-call.ts";
import { type Address, dial } from "./lib/dial.ts";
import { type EkKind, type SoftNode, SoftVendor } from "./lib/soft-node.ts";
import { monotonicMicros, serveOperations } from "./lib/worker.ts";

const vendor = new SoftVendor();
const nodes = new Map<EkKind, readonly SoftNode[]>();

const operations = {
  /** Makes nodes of each kind of endorsement key, with attestation keys as our agent makes them; the vendor's certificates. */
  async make(o: { kinds: readonly EkKind[]; count: number }): Promise<readonly string[]> {
    for (const kind of o.kinds) {
      const names = Array.from({ length: o.count }, (_, index) => `node ${index}`);
      nodes.set(kind, await Promise.all(names.map((name) => vendor.node(name, kind, "ec-p256"))));
    }
    return vendor.pems;
  },

  /** Attests `count` times, `lanes` at once, each lane with nodes of its own in turn, over one connection or, if `fresh`, over one each. */
  async attest(o: {
    to: Address;
    ek: EkKind;
    quote: boolean;
    count: number;
    lanes: number;
    fresh: boolean;
  }): Promise<{ micros: number }> {
    const all = nodes.get(o.ek) ?? [];
    const challenges = o.quote ? 2 : 1;
    let left = o.count;
    // A node attests once at a time: a server may refuse one that it is just about to admit.
    const lane = async (at: number): Promise<void> => {
      const own = all.filter((_, index) => index % o.lanes === at);
      let connection = o.fresh ? undefined : await dial(o.to);
      for (let turn = 0; left-- > 0; turn++) {
        const node = own[turn % own.length];
        if (node === undefined) throw new Error(`too few nodes of ${o.ek}`);
        if (o.fresh) connection = await dial(o.to);
        if (connection === undefined) throw new Error("no connection");
        const asked = await attestOver(connection, o.quote ? node.quoting : node.plain);
        if (asked !== challenges) throw new Error(`${asked} challenges, expected ${challenges}`);
        if (o.fresh) connection.socket.destroy();
      }
      connection?.socket.destroy();
    };
    const started = monotonicMicros();
    await Promise.all(Array.from({ length: o.lanes }, (_, at) => lane(at)));
    return { micros: monotonicMicros() - started };
  },
};

/** The operations, for the bench's side. */
export type TpmClientOperations = typeof operations;

serveOperations(operations);
