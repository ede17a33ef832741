/** Faults of the path as a whole: lengths, missing and foreign issuers; and of the leaf as an X509-SVID. */
import type { KeyUsage } from "../../../src/pki/extensions.ts";
import { Oid } from "../../../src/pki/oid.ts";
import { gn } from "../make.ts";
import { type ChainPlan, caPlan, nameIn, serialOf, shouting, signCert } from "./plan.ts";
import { change, type Edit, fault, onLeaf, onPresented, type Variation } from "./variation.ts";

const PATH: readonly Variation[] = [
  fault("pathlen", "path length exceeded", "path-length", (plan) => {
    const { path } = plan;
    const countBelow = (at: number): number =>
      path.slice(1, at).filter((cert, i) => Buffer.compare(cert.name, path[i + 2]!.name) !== 0).length;
    const fit = path.map((_cert, at) => at).filter((at) => at > 0 && countBelow(at) > 0);
    if (fit.length === 0) return false;
    const at = plan.choices.pick(fit);
    path[at]!.basic = { ca: true, pathLen: plan.choices.int(countBelow(at)) };
    return true;
  }),
  fault("length", "path of nine certificates", "limits", (plan) => {
    if (plan.path.some((cert) => cert.basic?.pathLen !== undefined)) return false;
    const top = plan.path.pop()!;
    while (plan.path.length < 8) plan.path.push(caPlan(nameIn(plan, `more ${plan.path.length}`), plan.newKey()));
    plan.path.push(top);
    return true;
  }),
  fault("issuer", "intermediate missing", ["issuer", "signature"], (plan) => {
    const middle = plan.path.slice(1, -1);
    if (middle.length === 0) return false;
    plan.omitted.add(plan.choices.pick(middle));
    return true;
  }),
  fault("anchor", "foreign authority", ["issuer", "signature"], (plan) => {
    plan.authorities = [authority(plan, nameIn(plan, "foreign CA"))];
    return true;
  }),
  fault("anchor", "foreign authority of the same name", ["issuer", "signature"], (plan) => {
    plan.authorities = [authority(plan, plan.path.at(-1)!.name)];
    return true;
  }),
  fault("anchor", "leaf as its own authority", "issuer", (plan) => {
    plan.trustsLeaf = true;
    return true;
  }),
  fault("anchor", "no authority", "authorities", (plan) => {
    plan.authorities = [];
    return true;
  }),
  fault("names", "issuer in other letters", "issuer", onPresented(shoutIssuer)),
  fault("ring", "CAs of one name that sign one another in a ring", ["limits", "signature", "issuer"], (plan) => {
    const name = nameIn(plan, "ring");
    const keys = Array.from({ length: 4 }, () => plan.newKey());
    for (const [i, key] of keys.entries()) {
      const above = { name, key: keys[(i + 1) % keys.length]! };
      for (let copy = 0; copy < 3; copy++) {
        plan.presented.push(signCert(caPlan(name, key), above, serialOf(plan.choices)));
      }
    }
    plan.path.splice(1, plan.path.length - 1, caPlan(name, keys[0]!));
    plan.authorities = [authority(plan, name)];
    return true;
  }),
];

function authority(plan: ChainPlan, name: Uint8Array): Uint8Array {
  return signCert(caPlan(name, plan.newKey()), undefined, serialOf(plan.choices));
}

/** The issuer's common name as it is written in the plan, in capitals. */
function shoutIssuer(...[cert, plan]: Parameters<Edit>): boolean {
  const issuer = plan.path[plan.path.indexOf(cert) + 1]!;
  const level = plan.path.indexOf(issuer);
  if (Buffer.compare(issuer.name, nameIn(plan, `CA ${level}`)) !== 0) return false;
  cert.issuerName = shouting(`CA ${level} of ${plan.id}`);
  return true;
}

const SVID: readonly Variation[] = [
  ids("no URI", ["leaf-uri-san"]),
  ids("two IDs", ["leaf-uri-san"], "spiffe://example.org/workload", "spiffe://example.org/other"),
  ids("an ID and another URI", ["leaf-uri-san"], "https://example.org/", "spiffe://example.org/workload"),
  ids("ID of another trust domain", ["leaf-trust-domain"], "spiffe://elsewhere.test/workload"),
  ids("ID without path", ["leaf-spiffe-id"], "spiffe://example.org"),
  ids("ID with an empty path segment", ["leaf-spiffe-id"], "spiffe://example.org//workload"),
  ids("ID with a dot segment", ["leaf-spiffe-id"], "spiffe://example.org/a/../b"),
  ids("ID with a query", ["leaf-spiffe-id"], "spiffe://example.org/a?b"),
  ids("ID in capitals", ["leaf-spiffe-id"], "SPIFFE://example.org/a"),
  ids("ID of another scheme", ["leaf-spiffe-id"], "https://example.org/workload"),
  rule(
    "basic",
    "leaf is a CA",
    ["leaf-basic-constraints"],
    change(() => ({ basic: { ca: true } })),
  ),
  usage("leaf has keyCertSign", "digitalSignature", "keyCertSign"),
  usage("leaf has cRLSign", "digitalSignature", "cRLSign"),
  usage("leaf lacks digitalSignature", "keyAgreement"),
  usage("leaf without key usage"),
  rule(
    "eku",
    "leaf for servers alone",
    ["leaf-ext-key-usage"],
    change(() => ({ eku: [Oid.serverAuth] })),
  ),
  rule(
    "eku",
    "leaf for clients alone",
    ["leaf-ext-key-usage"],
    change(() => ({ eku: [Oid.clientAuth] })),
  ),
  rule(
    "eku",
    "leaf for any purpose",
    ["leaf-ext-key-usage"],
    change(() => ({ eku: ["2.5.29.37.0"] })),
  ),
];

function rule(group: string, name: string, checks: readonly string[], edit: Edit): Variation {
  return { ...fault(group, name, checks, onLeaf(edit)), isLeafRule: true };
}

function ids(name: string, checks: readonly string[], ...uris: string[]): Variation {
  return rule(
    "sans",
    name,
    checks,
    change(() => ({ sans: uris.map(gn.uri) })),
  );
}

function usage(name: string, ...usages: KeyUsage[]): Variation {
  return rule(
    "usage",
    name,
    ["leaf-key-usage"],
    change(() => ({ usage: usages.length > 0 ? usages : undefined })),
  );
}

export const PATH_FAULTS: readonly Variation[] = [...PATH, ...SVID];
