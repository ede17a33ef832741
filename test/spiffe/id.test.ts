/** SPIFFE-ID standard, section 2; the numbers in brackets are rules of its checklist. */
import { describe, expect, test } from "vitest";
import { errorCode } from "../../src/lib/errors.ts";
import {
  agentId,
  isAgentId,
  isReserved,
  makeSpiffeId,
  parseSpiffeId,
  parseTrustDomain,
  pathOf,
  serverId,
  trustDomainId,
  trustDomainOf,
} from "../../src/spiffe/id.ts";

describe("valid IDs", () => {
  test.each([
    ["spiffe://example.org", "no path [ID-18]"],
    ["spiffe://example.org/a", "a path"],
    ["spiffe://10.0.0.1/ns/prod/sa/web", "like an IPv4 address [ID-08], hierarchical [ID-13]"],
    ["spiffe://a-b_c.d/A.b_c-9", "every kind of character [ID-06, ID-12]"],
    ["spiffe://td/...", "three dots are no dot segment [ID-10]"],
    [`spiffe://td/${"a".repeat(2048 - "spiffe://td/".length)}`, "2048 bytes [ID-14]"],
    [`spiffe://${"a".repeat(255)}/a`, "a trust domain of 255 bytes [ID-15]"],
  ])("%s: %s", (id) => {
    expect(parseSpiffeId(id)).toBe(id);
  });
});

describe("invalid IDs", () => {
  test.each([
    ["", "empty"],
    ["http://example.org/a", "scheme [ID-01]"],
    ["SPIFFE://example.org/a", "upper-case scheme [ID-16]"],
    ["spiffe://", "no trust domain [ID-02]"],
    ["spiffe:///a", "no trust domain [ID-02]"],
    ["spiffe://td/a?x=1", "query [ID-03]"],
    ["spiffe://td/a#x", "fragment [ID-03]"],
    ["spiffe://user@td/a", "userinfo [ID-04]"],
    ["spiffe://td:80/a", "port [ID-04]"],
    ["spiffe://TD/a", "upper-case trust domain [ID-05]"],
    ["spiffe://t!d/a", "another character in the trust domain [ID-06]"],
    ["spiffe://t%64/a", "percent in trust domain [ID-07]"],
    ["spiffe://[::1]/a", "IPv6 [ID-08]"],
    ["spiffe://td/%61", "percent in path [ID-09]"],
    ["spiffe://td//a", "empty segment [ID-10]"],
    ["spiffe://td/./a", "dot segment [ID-10]"],
    ["spiffe://td/a/..", "dot segment [ID-10]"],
    ["spiffe://td/", "trailing slash [ID-11]"],
    ["spiffe://td/a/", "trailing slash [ID-11]"],
    ["spiffe://td/a b", "space [ID-12]"],
    ["spiffe://td/ä", "not ASCII [ID-12]"],
    [`spiffe://td/${"a".repeat(2048)}`, "too long [ID-14]"],
    [`spiffe://${"a".repeat(256)}/a`, "trust domain too long [ID-15]"],
    ["spiffe://td/a\n", "line feed [ID-12]"],
  ])("%j: %s", (id) => {
    expect(() => parseSpiffeId(id)).toThrow();
    try {
      parseSpiffeId(id);
    } catch (error) {
      expect(errorCode(error)).toBe("INVALID_ARGUMENT");
    }
  });
});

test("parts", () => {
  const id = parseSpiffeId("spiffe://example.org/ns/a");
  expect(trustDomainOf(id)).toBe("example.org");
  expect(pathOf(id)).toBe("/ns/a");
  const bare = parseSpiffeId("spiffe://example.org");
  expect(trustDomainOf(bare)).toBe("example.org");
  expect(pathOf(bare)).toBe("");
});

test("trust domains are read bare or as an ID", () => {
  expect(parseTrustDomain("example.org")).toBe("example.org");
  expect(parseTrustDomain("spiffe://example.org")).toBe("example.org");
  expect(parseTrustDomain("spiffe://example.org/a")).toBe("example.org");
  expect(() => parseTrustDomain("Example.org")).toThrow("lowercase");
});

test("well-known and reserved IDs", () => {
  const td = parseTrustDomain("td");
  expect(trustDomainId(td)).toBe("spiffe://td");
  expect(serverId(td)).toBe("spiffe://td/spire/server");
  expect(agentId(td, "join_token", "abc")).toBe("spiffe://td/spire/agent/join_token/abc");
  expect(() => agentId(td, "join_token", "../server")).toThrow("dot segments");
  expect(isReserved(serverId(td))).toBe(true);
  expect(isReserved(makeSpiffeId(td, "/spire"))).toBe(true);
  expect(isReserved(makeSpiffeId(td, "/spirex"))).toBe(false);
  expect(isAgentId(agentId(td, "x", "y"))).toBe(true);
  expect(isAgentId(serverId(td))).toBe(false);
});
