/** What the bench's Envoys say. */
import { describe, expect, test } from "vitest";
import { acknowledgement, FIRST_REQUEST } from "../../bench/lib/envoy-calls.ts";
import { foreignBundle } from "../../bench/lib/foreign-bundle.ts";
import { DiscoveryRequest, DiscoveryResponse } from "../../src/gen/envoy/service/discovery/v3/discovery.ts";

describe("a stream of secrets", () => {
  test("begins with a request as large as Envoy's", () => {
    expect(FIRST_REQUEST.length).toBeGreaterThan(60_000);
    // One window of HTTP/2 holds it, so that no call waits for another before the settings have come.
    expect(FIRST_REQUEST.length).toBeLessThan(65_000);
    expect(DiscoveryRequest.decode(FIRST_REQUEST)).toMatchObject({
      versionInfo: "",
      responseNonce: "",
      resourceNames: ["default", "ROOTCA"],
      node: { userAgentVersionType: { value: { version: { majorNumber: 1, minorNumber: 40 } } } },
    });
  });

  test("goes on with the version and the nonce of the answer", () => {
    const answer = DiscoveryResponse.fromPartial({ versionInfo: "7", nonce: "abcd1234" });
    const request = DiscoveryRequest.decode(acknowledgement(DiscoveryResponse.encode(answer).finish()));
    expect(request).toMatchObject({
      versionInfo: "7",
      responseNonce: "abcd1234",
      resourceNames: ["default", "ROOTCA"],
    });
    expect(request.node).toBeDefined();
  });
});

test("a bundle has as many authorities of each kind as it was asked for, each its own", async () => {
  const bundle = await foreignBundle("other.test", 3);
  expect(bundle.trustDomain).toBe("other.test");
  expect(new Set(bundle.x509Authorities.map(({ asn1 }) => Buffer.from(asn1).toString("hex"))).size).toBe(3);
  expect(new Set(bundle.jwtAuthorities.map(({ keyId }) => keyId)).size).toBe(3);
});
