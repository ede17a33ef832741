/** Our answers beside those of a stock spire-agent, to the same requests about the same entries. */
import { X509Certificate } from "node:crypto";
import { credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DataSource } from "../../../src/gen/envoy/config/core/v3/base.ts";
import { Secret } from "../../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts";
import { SPIFFECertValidatorConfig } from "../../../src/gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.ts";
import { DiscoveryRequest, type DiscoveryResponse } from "../../../src/gen/envoy/service/discovery/v3/discovery.ts";
import { SecretDiscoveryServiceClient } from "../../../src/gen/envoy/service/secret/v3/sds.ts";
import type { Any } from "../../../src/gen/google/protobuf/any.ts";
import { parseTrustDomain } from "../../../src/spiffe/id.ts";
import { SECRET_TYPE } from "../../../src/workload-api/sds/requests.ts";
import { TestCa } from "../../fakes/test-ca.ts";
import { Pair, PROGRAMS, run, SELF } from "../support.ts";
import { setFederatedBundle } from "./support.ts";

type Fields = Parameters<typeof DiscoveryRequest.fromPartial>[0];
const ID = "spiffe://example.org/web";
const PARTNER = parseTrustDomain("partner.test");

let stock: string | undefined;
const pairs: Pair[] = [];

beforeAll(async () => {
  const found = await run("sh", ["-c", "command -v spire-agent"]);
  if (found.status !== 0) return;
  stock = found.stdout.trim();
  const partner = await TestCa.create(PARTNER);
  for (const agent of [PROGRAMS.agent, stock]) {
    const pair = await Pair.start({}, { server: PROGRAMS.server, agent });
    pairs.push(pair);
    await setFederatedBundle(pair.site, PARTNER, partner.certificate);
    await pair.createEntry(ID, [`unix:uid:${SELF}`], ["-federatesWith", PARTNER]);
    await pair.untilServed(ID);
  }
}, 120_000);

afterAll(async () => {
  for (const pair of pairs) await pair[Symbol.asyncDispose]();
});

/** What is in a secret, without what differs between two servers. */
function shape({ typeUrl, value }: Any): string {
  const { name, type } = Secret.decode(value);
  const pem = (source: DataSource | undefined): string => {
    if (source?.specifier?.$case !== "inlineBytes") return "nothing inline";
    const { $case, value: bytes } = source.specifier;
    const text = Buffer.from(bytes).toString();
    const names = (text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g) ?? []).map(
      (block) => new X509Certificate(block).subjectAltName,
    );
    return `${$case} ${text.replaceAll(/^[A-Za-z0-9+/=]+$/gm, "").replaceAll(/\n+/g, " ")}${names.join()}`;
  };
  if (type?.$case === "tlsCertificate") {
    return `${typeUrl} ${name}: ${pem(type.value.certificateChain)} ${pem(type.value.privateKey)}`;
  }
  const { trustedCa, customValidatorConfig } = type?.value ?? {};
  if (trustedCa !== undefined) return `${typeUrl} ${name}: trusted_ca ${pem(trustedCa)}`;
  const { trustDomains } = SPIFFECertValidatorConfig.decode(
    customValidatorConfig?.typedConfig?.value ?? Buffer.alloc(0),
  );
  const domains = trustDomains.map(({ name: domain, trustBundle }) => `${domain} ${pem(trustBundle)}`);
  return `${typeUrl} ${name}: ${customValidatorConfig?.name} ${customValidatorConfig?.typedConfig?.typeUrl} ${domains.join(" ")}`;
}

function summary({ versionInfo, nonce, typeUrl, resources }: DiscoveryResponse): object {
  return { versionInfo, nonce: nonce.replaceAll(/[0-9a-f]/g, "x"), typeUrl, resources: resources.map(shape).sort() };
}

/** The answer of FetchSecrets, and the first one of StreamSecrets. */
async function answers(pair: Pair, fields: Fields): Promise<unknown[]> {
  const client = new SecretDiscoveryServiceClient(`unix:${pair.site.agentSocket}`, credentials.createInsecure());
  const request = DiscoveryRequest.fromPartial({ typeUrl: SECRET_TYPE, ...fields });
  try {
    const fetched = await new Promise((resolve) =>
      client.fetchSecrets(request, (error, response) =>
        resolve(error === null ? summary(response) : `${error.code} ${error.details}`),
      ),
    );
    const streamed = await new Promise((resolve) => {
      const stream = client.streamSecrets();
      stream.on("data", (response: DiscoveryResponse) => {
        resolve(summary(response));
        stream.cancel();
      });
      stream.on("error", (error: Error & { readonly code?: number; readonly details?: string }) =>
        resolve(`${error.code} ${error.details}`),
      );
      stream.write(request);
    });
    return [fetched, streamed];
  } finally {
    client.close();
  }
}

const noValidator = { metadata: { disable_spiffe_cert_validation: "true" } };
const old = {
  userAgentVersionType: { $case: "userAgentBuildVersion", value: { version: { majorNumber: 1, minorNumber: 17 } } },
} as const;

test.for<[what: string, fields: Fields]>([
  ["everything", {}],
  ["an SVID by its ID", { resourceNames: [ID] }],
  ["the default SVID", { resourceNames: ["default"] }],
  ["the own bundle", { resourceNames: ["spiffe://example.org"] }],
  ["the default bundle", { resourceNames: ["ROOTCA"] }],
  ["a federated bundle", { resourceNames: ["spiffe://partner.test"] }],
  ["all bundles", { resourceNames: ["ALL"] }],
  ["several", { resourceNames: ["", ID, "ROOTCA", "spiffe://partner.test"] }],
  ["two names of the own bundle", { resourceNames: ["ALL", "ROOTCA"] }],
  ["two names of the first SVID", { resourceNames: ["default", ID] }],
  ["unknown names", { resourceNames: ["z", "default", 'a"b\\', "spiffe://example.org/other"] }],
  ["authorities by metadata", { resourceNames: ["ROOTCA", "spiffe://partner.test"], node: noValidator }],
  ["authorities for an old Envoy", { resourceNames: ["ROOTCA"], node: old }],
  ["all bundles without the validator", { resourceNames: ["ALL"], node: noValidator }],
  ["no type", { resourceNames: ["ROOTCA"], typeUrl: "" }],
])("%s", async ([_what, fields], { skip }) => {
  const [ours, theirs] = pairs;
  if (stock === undefined || ours === undefined || theirs === undefined) return skip("spire-agent is not on PATH");
  expect(await answers(ours, fields)).toEqual(await answers(theirs, fields));
});
