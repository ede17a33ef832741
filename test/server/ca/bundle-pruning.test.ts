import { describe, expect, test } from "vitest";
import { randomSerial, selfSignCa } from "../../../src/pki/issue.ts";
import { generateKey } from "../../../src/pki/keys.ts";
import { signerFor } from "../../../src/pki/signer.ts";
import { prunedBundle } from "../../../src/server/ca/bundle-pruning.ts";
import { emptyBundle, type KeyAuthority, type TrustBundle, type X509Authority } from "../../../src/spiffe/bundle.ts";
import { seededRandom } from "../../fakes/ca.ts";
import { bundle, TD } from "../../fakes/entries.ts";

const HOUR = 60 * 60 * 1000;
const END = Date.UTC(2030, 0, 2);

async function authority(notAfter: number): Promise<X509Authority> {
  const certificate = await selfSignCa({
    signer: signerFor(await generateKey("ec-p256")),
    trustDomain: TD,
    subject: { country: ["US"], organization: ["SPIFFE"], commonName: "" },
    notBefore: END - 240 * HOUR,
    notAfter,
    serial: randomSerial(seededRandom(notAfter)),
  });
  return { certificate, tainted: false };
}

function key(keyId: string, expiresAt: number): KeyAuthority {
  return { keyId, publicKey: new Uint8Array([1]), expiresAt, tainted: false };
}

function withX509(...x509Authorities: X509Authority[]): TrustBundle {
  return { ...emptyBundle(TD), x509Authorities };
}

describe("pruning", () => {
  test("takes out what expired more than a day ago, and nothing else (FED-02)", async () => {
    const [early, late] = [await authority(END), await authority(END + HOUR)];
    const both = withX509(early, late);
    expect(prunedBundle(both, END + 24 * HOUR)).toBe(both);
    expect(prunedBundle(both, END + 24 * HOUR + 1).x509Authorities).toEqual([late]);
  });

  test("leaves the last to expire when all have", async () => {
    const [early, late] = [await authority(END), await authority(END + HOUR)];
    expect(prunedBundle(withX509(late, early), END + 240 * HOUR).x509Authorities).toEqual([late]);
    const alone = withX509(early);
    expect(prunedBundle(alone, END + 240 * HOUR)).toBe(alone);
  });

  test("goes for keys as well, but not for those without an end", () => {
    const keys = [key("old", END / 1000), key("new", (END + 240 * HOUR) / 1000), key("never", 0)];
    const full = { ...emptyBundle(TD), jwtAuthorities: keys, witAuthorities: keys.slice(0, 1) };
    const pruned = prunedBundle(full, END + 25 * HOUR);
    expect(pruned.jwtAuthorities.map((one) => one.keyId)).toEqual(["new", "never"]);
    expect(pruned.witAuthorities.map((one) => one.keyId)).toEqual(["old"]);
  });

  test("leaves what it cannot read, and an empty bundle", async () => {
    const odd = { ...emptyBundle(TD), x509Authorities: [...bundle(TD, "x").x509Authorities, await authority(END)] };
    expect(prunedBundle(odd, END + 240 * HOUR).x509Authorities).toEqual(odd.x509Authorities.slice(0, 1));
    expect(prunedBundle(withX509(), END).x509Authorities).toEqual([]);
  });
});
