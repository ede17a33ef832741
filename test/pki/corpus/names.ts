/** Name constraints, kept and broken: a name, a constraint above it, and whether it may be there. */

import { oid, sequence, setOf, tlv } from "../../../src/pki/der-writer.ts";
import { encodeName } from "../../../src/pki/name.ts";
import { gn } from "../make.ts";
import { ACME, type ChainPlan, caPlan } from "./plan.ts";
import { fault, twist, type Variation } from "./variation.ts";

const zeros = (length: number): number[] => Array.from({ length }, () => 0);
const ones = (length: number): number[] => Array.from({ length }, () => 255);
const ip6 = gn.ip(0x20, 1, ...zeros(13), 1);
const net6 = (first: number): Uint8Array => gn.ip(first, 1, ...zeros(14), ...ones(2), ...zeros(14));
const ip4 = gn.ip(10, 1, 2, 3);
const net4 = (first: number): Uint8Array => gn.ip(first, 0, 0, 0, 255, 0, 0, 0);
const acme = encodeName(ACME);
const shoutedAcme = sequence(
  setOf(sequence(oid("2.5.4.6"), tlv(0x13, Buffer.from("US")))),
  setOf(sequence(oid("2.5.4.10"), tlv(0x0c, Buffer.from(" ACME ")))),
);
const other = encodeName({ country: ["US"], organization: ["Other"] });
const own = gn.uri("example.org");

/** Names for the leaf beside its ID, and the subtrees of a CA above it. */
interface Row {
  readonly sans?: readonly Uint8Array[];
  readonly permitted?: readonly Uint8Array[];
  readonly excluded?: readonly Uint8Array[];
}

const KEPT: Readonly<Record<string, Row>> = {
  "URI permitted": { permitted: [own] },
  "URI permitted in capitals": { permitted: [gn.uri("EXAMPLE.Org")] },
  "URI permitted among others": { permitted: [gn.uri("other.test"), own, gn.uri(".example.test")] },
  "URI of another host excluded": { excluded: [gn.uri("other.test")] },
  "URI of a host below excluded": { excluded: [gn.uri("sub.example.org")] },
  "URI of hosts below excluded beside": { permitted: [own], excluded: [gn.uri(".sub.example.org")] },
  "DNS permitted": { sans: [gn.dns("a.example.org")], permitted: [gn.dns("a.example.org")] },
  "DNS below permitted": { sans: [gn.dns("x.a.example.org")], permitted: [gn.dns("example.org")] },
  "DNS below a leading dot permitted": { sans: [gn.dns("a.example.org")], permitted: [gn.dns(".example.org")] },
  "DNS in capitals permitted": { sans: [gn.dns("A.EXAMPLE.org")], permitted: [gn.dns("example.ORG")] },
  "DNS wildcard permitted": { sans: [gn.dns("*.example.org")], permitted: [gn.dns("example.org")] },
  "all DNS permitted": { sans: [gn.dns("a.example.org")], permitted: [gn.dns("")] },
  "other DNS excluded": { sans: [gn.dns("a.example.org")], excluded: [gn.dns("nota.example.org"), gn.dns("test")] },
  "DNS permitted, but for some": {
    sans: [gn.dns("a.example.org"), gn.dns("b.example.org")],
    permitted: [gn.dns("example.org")],
    excluded: [gn.dns("c.example.org")],
  },
  "DNS constrained, and no such name": { permitted: [gn.dns("example.org")] },
  "IPv4 permitted": { sans: [ip4], permitted: [net4(10)] },
  "IPv4 of another net excluded": { sans: [ip4], excluded: [net4(11)] },
  "all IPv4 permitted": { sans: [ip4], permitted: [gn.ip(...zeros(8))] },
  "IPv6 permitted": { sans: [ip6], permitted: [net6(0x20)] },
  "IPv6 of another net excluded": { sans: [ip6], excluded: [net6(0x21)] },
  "IPv4 and IPv6 permitted": { sans: [ip4, ip6], permitted: [net4(10), net6(0x20)] },
  "directory permitted": { permitted: [gn.directory(acme)] },
  "directory in capitals permitted": { permitted: [gn.directory(shoutedAcme)] },
  "all directories permitted": { permitted: [gn.directory(encodeName({}))] },
  "other directory excluded": { excluded: [gn.directory(other)] },
  "directory alternative name permitted": { sans: [gn.directory(acme)], permitted: [gn.directory(acme)] },
  "four kinds permitted": {
    sans: [gn.dns("a.example.org"), ip4],
    permitted: [own, gn.dns("example.org"), net4(10), gn.directory(acme)],
  },
  "e-mail under no constraint of its kind": { sans: [gn.email("a@b.test")], permitted: [gn.dns("example.org")] },
  "registered ID under no constraint of its kind": { sans: [gn.registeredId("1.2.3")], permitted: [own] },
};

const BROKEN: Readonly<Record<string, Row>> = {
  "URI not permitted": { permitted: [gn.uri("other.test")] },
  "URI excluded": { excluded: [own] },
  "URI excluded in capitals": { excluded: [gn.uri("EXAMPLE.ORG")] },
  "URI permitted and excluded": { permitted: [own], excluded: [own] },
  "URI permitted for a host that ends alike": { permitted: [gn.uri("ample.org")] },
  "URI permitted for the host above": { permitted: [gn.uri("org")] },
  "URI excluded for the host above": { excluded: [gn.uri("org")] },
  "URI permitted below a leading dot, not for the host": { permitted: [gn.uri(".example.org")] },
  "URI excluded below a leading dot": { excluded: [gn.uri(".example.org")] },
  "URI excluded below the host above": { excluded: [gn.uri(".org")] },
  "URI permitted by nothing": { permitted: [gn.uri("")] },
  "URI excluded by nothing": { excluded: [gn.uri("")] },
  "URI constraint that is a URI": { permitted: [gn.uri("spiffe://example.org")] },
  "DNS not permitted": { sans: [gn.dns("a.example.org")], permitted: [gn.dns("other.test")] },
  "DNS excluded": { sans: [gn.dns("a.example.org")], excluded: [gn.dns("example.org")] },
  "DNS excluded in capitals": { sans: [gn.dns("a.example.org")], excluded: [gn.dns("EXAMPLE.ORG")] },
  "DNS excluded below a leading dot": { sans: [gn.dns("a.example.org")], excluded: [gn.dns(".example.org")] },
  "DNS that only ends alike": { sans: [gn.dns("notexample.org")], permitted: [gn.dns("example.org")] },
  "DNS permitted below a leading dot, not the host": {
    sans: [gn.dns("example.org")],
    permitted: [gn.dns(".example.org")],
  },
  "DNS, the host of an excluded leading dot": { sans: [gn.dns("example.org")], excluded: [gn.dns(".example.org")] },
  "DNS wildcard over what is excluded": { sans: [gn.dns("*.example.org")], excluded: [gn.dns("x.example.org")] },
  "DNS wildcard over what is permitted": { sans: [gn.dns("*.example.org")], permitted: [gn.dns("x.example.org")] },
  "all DNS excluded": { sans: [gn.dns("a.example.org")], excluded: [gn.dns("")] },
  "DNS with a trailing dot": { sans: [gn.dns("a.example.org.")], permitted: [gn.dns("example.org")] },
  "one DNS name of two not permitted": {
    sans: [gn.dns("a.example.org"), gn.dns("a.other.test")],
    permitted: [gn.dns("example.org")],
  },
  "IPv4 not permitted": { sans: [ip4], permitted: [net4(11)] },
  "IPv4 excluded": { sans: [ip4], excluded: [net4(10)] },
  "IPv4 where IPv6 is permitted": { sans: [ip4], permitted: [net6(0x20)] },
  "IPv6 not permitted": { sans: [ip6], permitted: [net6(0x21)] },
  "IPv6 excluded": { sans: [ip6], excluded: [net6(0x20)] },
  "IPv4 in IPv6": { sans: [gn.ip(...zeros(10), 255, 255, 10, 1, 2, 3)], permitted: [net6(0x20)] },
  "IPv4 in IPv6, excluded as IPv4": { sans: [gn.ip(...zeros(10), 255, 255, 10, 1, 2, 3)], excluded: [net4(10)] },
  "directory not permitted": { permitted: [gn.directory(other)] },
  "directory excluded": { excluded: [gn.directory(acme)] },
  "directory excluded in capitals": { excluded: [gn.directory(shoutedAcme)] },
  "all directories excluded": { excluded: [gn.directory(encodeName({}))] },
  "directory permitted below the name": {
    permitted: [gn.directory(encodeName({ ...ACME, commonName: "of another chain" }))],
  },
  "directory alternative name not permitted": { sans: [gn.directory(other)], permitted: [gn.directory(acme)] },
  "e-mail constrained": { sans: [gn.email("a@b.test")], permitted: [gn.email("b.test")] },
  "e-mail excluded": { sans: [gn.email("a@b.test")], excluded: [gn.email("b.test")] },
  "registered ID constrained": { sans: [gn.registeredId("1.2.3")], permitted: [gn.registeredId("1.2.3")] },
};

/** The subtrees go to any CA, the names to the leaf. */
function applyRow({ sans = [], permitted = [], excluded = [] }: Row): Variation["apply"] {
  return (plan) => {
    const ca = plan.choices.pick(plan.path.slice(1));
    ca.permitted.push(...permitted);
    ca.excluded.push(...excluded);
    plan.path[0]!.sans.push(...sans);
    return true;
  };
}

/** Names of an intermediate under a constraint of a CA above it. */
function onIntermediate(sans: readonly Uint8Array[], permitted: readonly Uint8Array[]): Variation["apply"] {
  return (plan) => {
    const { path, choices } = plan;
    if (path.length < 3) return false;
    const at = 1 + choices.int(path.length - 2);
    if (isSelfIssued(plan, at)) return false;
    path[at]!.sans.push(...sans);
    path[at + 1 + choices.int(path.length - at - 1)]!.permitted.push(...permitted);
    return true;
  };
}

function isSelfIssued({ path }: ChainPlan, at: number): boolean {
  const [cert, issuer] = [path[at], path[at + 1]];
  return cert !== undefined && issuer !== undefined && Buffer.compare(cert.name, issuer.name) === 0;
}

export const NAME_TWISTS: readonly Variation[] = [
  ...Object.entries(KEPT).map(([name, row]) => twist("sans", `names: ${name}`, applyRow(row))),
  twist("sans", "names: every CA permits the same", (plan) => {
    for (const ca of plan.path.slice(1)) ca.permitted.push(own, gn.directory(acme));
    return true;
  }),
  twist("sans", "names: CAs permit less and less", (plan) => {
    plan.path[0]!.sans.push(gn.dns("a.b.example.org"));
    const hosts = ["b.example.org", "example.org", "org"];
    for (const [i, ca] of plan.path.slice(1).entries()) ca.permitted.push(gn.dns(hosts[Math.min(i, 2)]!));
    return true;
  }),
  twist("sans", "names: constraints that are not critical", (plan) => {
    const ca = plan.choices.pick(plan.path.slice(1));
    ca.permitted.push(own);
    ca.constraintsCritical = false;
    return true;
  }),
  twist("sans", "names: a self-issued CA is exempt", (plan) => {
    if (plan.path.length > 7) return false;
    const at = 1 + plan.choices.int(plan.path.length - 1);
    const ca = plan.path[at]!;
    plan.path.splice(at, 0, caPlan(ca.name, plan.newKey()));
    plan.path[at]!.sans.push(gn.dns("other.test"));
    ca.permitted.push(gn.dns("example.org"));
    return true;
  }),
  twist("sans", "names: a common name that looks like a host", (plan) => {
    plan.path[0]!.name = encodeName({ ...ACME, commonName: `host${plan.id}.other.test` });
    plan.choices.pick(plan.path.slice(1)).permitted.push(gn.dns("example.org"));
    return true;
  }),
];

export const NAME_FAULTS: readonly Variation[] = [
  ...Object.entries(BROKEN).map(([name, row]) => fault("sans", `names: ${name}`, "name-constraints", applyRow(row))),
  fault("sans", "names: the CAs permit nothing in common", "name-constraints", (plan) => {
    if (plan.path.length < 3) return false;
    plan.path[1]!.permitted.push(own);
    plan.path[2]!.permitted.push(gn.uri("other.test"));
    return true;
  }),
  fault("sans", "names: broken constraint that is not critical", "name-constraints", (plan) => {
    const ca = plan.choices.pick(plan.path.slice(1));
    ca.permitted.push(gn.uri("other.test"));
    ca.constraintsCritical = false;
    return true;
  }),
  fault("sans", "names: broken directory constraint that is not critical", "name-constraints", (plan) => {
    const ca = plan.choices.pick(plan.path.slice(1));
    ca.excluded.push(gn.directory(acme));
    ca.constraintsCritical = false;
    return true;
  }),
  fault("basic", "names: constraints in the leaf", "name-constraints", (plan) => {
    plan.path[0]!.permitted.push(own);
    return true;
  }),
  fault(
    "sans",
    "names: URI of an intermediate",
    "name-constraints",
    onIntermediate([gn.uri("spiffe://other.test")], [own]),
  ),
  fault(
    "sans",
    "names: URI of an intermediate with user information",
    "name-constraints",
    onIntermediate([gn.uri("https://example.org@other.test/")], [own]),
  ),
  fault(
    "sans",
    "names: URI of an intermediate without authority",
    "name-constraints",
    onIntermediate([gn.uri("urn:example.org")], [own]),
  ),
  fault(
    "sans",
    "names: URI of an intermediate with an address",
    "name-constraints",
    onIntermediate([gn.uri("https://10.0.0.1/")], [own]),
  ),
  fault(
    "sans",
    "names: DNS name of an intermediate",
    "name-constraints",
    onIntermediate([gn.dns("other.test")], [gn.dns("example.org")]),
  ),
];
