import { expect, test } from "vitest";
import { protoJson } from "../../src/cli/proto-json.ts";
import { Agent } from "../../src/gen/spire/api/types/agent.ts";
import { Entry } from "../../src/gen/spire/api/types/entry.ts";

test("fields have the names of the definitions, and every one is there", () => {
  const entry = Entry.fromPartial({
    id: "e1",
    spiffeId: { trustDomain: "td", path: "/w" },
    x509SvidTtl: 60,
    revisionNumber: 2n ** 60n,
    additionalAttributes: { disableX509SvidPrefetch: true },
  });
  expect(JSON.parse(protoJson(entry))).toEqual({
    id: "e1",
    spiffe_id: { trust_domain: "td", path: "/w" },
    selectors: [],
    x509_svid_ttl: 60,
    federates_with: [],
    admin: false,
    downstream: false,
    expires_at: "0",
    dns_names: [],
    revision_number: "1152921504606846976",
    store_svid: false,
    jwt_svid_ttl: 0,
    hint: "",
    created_at: "0",
    additional_attributes: { disable_x509_svid_prefetch: true, jwt_svid_include_jti: false },
  });
});

test("names with digits inside stay as they were defined", () => {
  expect(Object.keys(JSON.parse(protoJson(Agent.fromPartial({}))))).toEqual([
    "agent_version",
    "attestation_type",
    "banned",
    "can_reattest",
    "selectors",
    "x509svid_expires_at",
    "x509svid_serial_number",
  ]);
});

test("bytes are base64, also those of a Buffer", () => {
  expect(protoJson({ keyBytes: Buffer.from([1, 2, 255]), other: new Uint8Array([0]) })).toBe(
    '{"key_bytes":"AQL/","other":"AA=="}',
  );
});
