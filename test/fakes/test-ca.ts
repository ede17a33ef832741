/** A real CA for tests of the agent: P-256, in memory. */
import type { KeyObject } from "node:crypto";
import { systemRandom } from "../../src/lib/random.ts";
import { type IssuingCa, issueCa, issueX509Svid, randomSerial, selfSignCa } from "../../src/pki/issue.ts";
import { generateKey, spkiOf } from "../../src/pki/keys.ts";
import { signerFor } from "../../src/pki/signer.ts";
import { emptyBundle, type TrustBundle } from "../../src/spiffe/bundle.ts";
import type { SpiffeId, TrustDomain } from "../../src/spiffe/id.ts";
import type { Der, X509Svid } from "../../src/spiffe/svid.ts";

export const HOUR = 3_600_000;

/** One authority of a trust domain. */
export class TestCa {
  readonly trustDomain: TrustDomain;
  readonly certificate: Der;
  readonly #issuing: IssuingCa;

  private constructor(trustDomain: TrustDomain, issuing: IssuingCa) {
    this.trustDomain = trustDomain;
    this.certificate = issuing.certificate;
    this.#issuing = issuing;
  }

  /** Valid from a day before `now` for thirty days. */
  static async create(trustDomain: TrustDomain, now = Date.now()): Promise<TestCa> {
    const signer = signerFor(await generateKey("ec-p256"));
    const notAfter = now + 30 * 24 * HOUR;
    const certificate = await selfSignCa({
      signer,
      trustDomain,
      subject: { country: ["US"], organization: ["SPIFFE"], commonName: "" },
      notBefore: now - 24 * HOUR,
      notAfter,
      serial: randomSerial(systemRandom),
    });
    return new TestCa(trustDomain, { certificate, chain: [], notAfter, signer });
  }

  /** A CA below this one, whose chains show it. */
  async subordinate(now = Date.now()): Promise<TestCa> {
    const signer = signerFor(await generateKey("ec-p256"));
    const notAfter = now + 20 * 24 * HOUR;
    const certificate = await issueCa(this.#issuing, {
      spki: signer.publicKeySpki,
      trustDomain: this.trustDomain,
      subject: { country: ["US"], organization: ["SPIFFE"], organizationalUnit: ["DOWNSTREAM-1"], commonName: "" },
      notBefore: now - 12 * HOUR,
      notAfter,
      serial: randomSerial(systemRandom),
    });
    return new TestCa(this.trustDomain, { certificate, chain: [certificate], notAfter, signer });
  }

  /** A chain for a key. */
  async issue(
    spiffeId: SpiffeId,
    spki: Uint8Array,
    life: { readonly notBefore: number; readonly notAfter: number },
  ): Promise<Der[]> {
    const serial = randomSerial(systemRandom);
    return [await issueX509Svid(this.#issuing, { spiffeId, spki, ...life, serial }), ...this.#issuing.chain];
  }

  /** An SVID with a key of its own. */
  async svid(
    spiffeId: SpiffeId,
    life: { readonly notBefore: number; readonly notAfter: number } = {
      notBefore: Date.now() - 10_000,
      notAfter: Date.now() + HOUR,
    },
    privateKey?: KeyObject,
  ): Promise<X509Svid> {
    const key = privateKey ?? (await generateKey("ec-p256"));
    const [notBefore, notAfter] = [wholeSeconds(life.notBefore), wholeSeconds(life.notAfter)];
    const chain = await this.issue(spiffeId, spkiOf(key), { notBefore, notAfter });
    return { spiffeId, chain, privateKey: key, notBefore, notAfter };
  }

  /** A bundle with this authority alone. */
  bundle(options: { readonly tainted?: boolean; readonly sequence?: bigint } = {}): TrustBundle {
    return bundleOf(this.trustDomain, [{ ca: this, tainted: options.tainted ?? false }], options.sequence);
  }
}

/** A bundle of several authorities. */
export function bundleOf(
  trustDomain: TrustDomain,
  authorities: readonly { readonly ca: TestCa; readonly tainted?: boolean }[],
  sequence = 1n,
): TrustBundle {
  return {
    ...emptyBundle(trustDomain),
    sequence,
    x509Authorities: authorities.map(({ ca, tainted = false }) => ({ certificate: ca.certificate, tainted })),
  };
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1_000) * 1_000;
}
