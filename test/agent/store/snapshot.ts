/** Snapshots for tests of the store, and how two are compared. */
import type { WorkloadSnapshot } from "../../../src/agent/store/workloads.ts";
import { pkcs8Of } from "../../../src/pki/keys.ts";
import { parseSpiffeId, parseTrustDomain } from "../../../src/spiffe/id.ts";
import { TestCa } from "../../fakes/test-ca.ts";
import { authorized, TD } from "../entries.ts";

export const PARTNER = parseTrustDomain("partner.org");

export async function snapshot(count = 3): Promise<WorkloadSnapshot> {
  const ca = await TestCa.create(TD);
  const partner = await TestCa.create(PARTNER);
  const entries = [];
  for (let index = 0; index < count; index++) {
    const spiffeId = parseSpiffeId(`spiffe://example.org/web-${index}`);
    const entry = authorized(`entry-${index}`, ["unix:uid:1", `unix:gid:${index}`], {
      spiffeId,
      federatesWith: [PARTNER],
      revision: 2n,
    });
    // One has none yet, and the SVID of another is of an older revision.
    if (index === 1) entries.push({ entry });
    else {
      const svid = await ca.svid(spiffeId);
      entries.push({ entry, issued: { entry: { ...entry, revision: 1n }, svid, rotateAt: svid.notAfter - 1_000 } });
    }
  }
  const web = parseSpiffeId("spiffe://example.org/web-0");
  return {
    bundle: ca.bundle(),
    federatedBundles: new Map([[PARTNER, partner.bundle()]]),
    entries,
    audiences: [
      { entryId: "entry-0", spiffeId: web, audience: ["a", "b"], askedAt: 1_000 },
      {
        entryId: "entry-1",
        spiffeId: web,
        audience: ["a"],
        askedAt: 2_000,
        reserve: {
          svid: { spiffeId: web, token: "h.p.s", keyId: "kid", notBefore: 1_000, notAfter: 9_000 },
          refreshAt: 3_000,
          version: { revision: 3n, createdAt: 4 },
        },
      },
    ],
    syncedAt: 1_700_000_000_000,
  };
}

export const plain = ({ entries, audiences, ...rest }: WorkloadSnapshot) => ({
  ...rest,
  audiences: [...audiences],
  entries: [...entries].map(({ entry, issued }) => ({
    entry,
    issued: issued && {
      ...issued,
      svid: {
        spiffeId: issued.svid.spiffeId,
        chain: issued.svid.chain.map((der) => Buffer.from(der).toString("hex")),
        notBefore: issued.svid.notBefore,
        notAfter: issued.svid.notAfter,
        key: Buffer.from(pkcs8Of(issued.svid.privateKey)).toString("hex"),
      },
    },
  })),
});
