/** Makes bundles of trust domains that have no server. */
import { Bundle } from "../../src/gen/spire/api/types/bundle.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { randomSerial, selfSignCa } from "../../src/pki/issue.ts";
import { generateKey } from "../../src/pki/keys.ts";
import { type CertificateSigner, signerFor } from "../../src/pki/signer.ts";
import { parseTrustDomain, type TrustDomain } from "../../src/spiffe/id.ts";

const DAY_MS = 86_400_000;

/** A bundle with so many authorities of each kind, X.509 and JWT; P-256. */
export async function foreignBundle(trustDomain: string, authorities: number): Promise<Bundle> {
  const signers = await Promise.all(
    Array.from({ length: authorities }, async () => signerFor(await generateKey("ec-p256"))),
  );
  const domain = parseTrustDomain(trustDomain);
  const certificates = await Promise.all(signers.map((signer) => certificateOf(domain, signer)));
  return Bundle.fromPartial({
    trustDomain,
    x509Authorities: certificates.map((asn1) => ({ asn1 })),
    jwtAuthorities: signers.map(({ publicKeySpki }, index) => ({ publicKey: publicKeySpki, keyId: `key-${index}` })),
  });
}

function certificateOf(trustDomain: TrustDomain, signer: CertificateSigner): Promise<Uint8Array> {
  const now = Date.now();
  return selfSignCa({
    signer,
    trustDomain,
    subject: { country: ["US"], organization: ["SPIFFE"], commonName: "" },
    notBefore: now - DAY_MS,
    notAfter: now + 30 * DAY_MS,
    serial: randomSerial(systemRandom),
  });
}
