/** Twists: unusual chains that are good nevertheless, and certificates beside the path that lead nowhere. */

import { small, unsigned } from "../../../src/pki/der-writer.ts";
import { encodeName } from "../../../src/pki/name.ts";
import { Oid } from "../../../src/pki/oid.ts";
import { DAY, ext } from "../make.ts";
import { SINGLE_FAULTS } from "./cert-faults.ts";
import { otherAlgorithm } from "./keys.ts";
import { type ChainPlan, CORPUS_NOW, caPlan, copyOf, nameIn, POLICY_EXTENSIONS, serialOf, signCert } from "./plan.ts";
import { change, issuerOf, onAny, onCa, onLeaf, onPresented, twist, type Variation } from "./variation.ts";

/** Those that change which certificates there are; applied before all else. */
export const SHAPES: readonly Variation[] = [
  twist("shape", "self-issued CA", (plan) => {
    const at = 1 + plan.choices.int(plan.path.length - 1);
    plan.path.splice(at, 0, caPlan(plan.path[at]!.name, plan.newKey()));
    return true;
  }),
  twist("basic", "self-issued CA under a path length that is reached", (plan) => {
    const { path } = plan;
    const at = path.length - 1;
    path.splice(at, 0, caPlan(path[at]!.name, plan.newKey()));
    path.at(-1)!.basic = { ca: true, pathLen: path.length - 3 };
    return true;
  }),
  twist("shape", "intermediate as authority", (plan) => {
    plan.isAnchorIssued = true;
    return true;
  }),
];

const DETAILS: readonly Variation[] = [
  twist("pathlen", "path lengths that are just enough", (plan) => {
    for (const [at, ca] of plan.path.entries()) if (at > 0) ca.basic = { ca: true, pathLen: at - 1 };
    return true;
  }),
  twist(
    "pathlen",
    "path length that is more than enough",
    onCa(change((_cert, plan) => ({ basic: { ca: true, pathLen: plan.path.length + 3 } }))),
  ),
  twist("validity", "valid from this second", onAny(change(() => ({ notBefore: CORPUS_NOW })))),
  twist("validity", "valid until this second", onAny(change(() => ({ notAfter: CORPUS_NOW })))),
  twist(
    "validity",
    "valid until the year 9999",
    onAny(change(() => ({ notAfter: Date.UTC(9999, 11, 31, 23, 59, 59) }))),
  ),
  twist("validity", "valid since 1950", onAny(change(() => ({ notBefore: Date.UTC(1950, 0, 1) })))),
  twist(
    "validity",
    "outlives its issuer",
    onPresented(change((cert, plan) => ({ notAfter: issuerOf(cert, plan).notAfter + 400 * DAY }))),
  ),
  twist(
    "basic",
    "basic constraints not critical",
    onCa(change((cert) => ({ basic: { ...cert.basic!, critical: false } }))),
  ),
  twist("basic", "leaf without basic constraints", onLeaf(change(() => ({ basic: undefined })))),
  twist("usage", "CA without key usage", onCa(change(() => ({ usage: undefined })))),
  twist("usage", "CA that may only sign certificates", onCa(change(() => ({ usage: ["keyCertSign"] })))),
  twist("eku", "leaf without extended key usage", onLeaf(change(() => ({ eku: undefined })))),
  twist(
    "eku",
    "leaf with a third purpose",
    onLeaf(change(() => ({ eku: [Oid.clientAuth, "1.3.6.1.5.5.7.3.4", Oid.serverAuth] }))),
  ),
  twist("eku", "CA for e-mail alone", onCa(change(() => ({ eku: ["1.3.6.1.5.5.7.3.4"] })))),
  twist("extra", "unknown extension", onAny(change((cert) => ({ extra: [...cert.extra, ext.unknown(false)] })))),
  twist(
    "policy",
    "critical certificate policies",
    onAny(change((cert) => ({ extra: [...cert.extra, POLICY_EXTENSIONS.policies(true)] }))),
  ),
  twist(
    "policy",
    "policy constraints without demand",
    onCa(change((cert) => ({ extra: [...cert.extra, POLICY_EXTENSIONS.inhibitMapping(false)] }))),
  ),
  twist(
    "policy",
    "policy mappings",
    onCa(change((cert) => ({ extra: [...cert.extra, POLICY_EXTENSIONS.mappings(false)] }))),
  ),
  twist("ids", "no subject key identifier", onCa(change(() => ({ ski: false })))),
  twist("ids", "no authority key identifier", onAny(change(() => ({ aki: "none" })))),
  twist("ids", "wrong authority key identifier", onPresented(change(() => ({ aki: "other" })))),
  twist("names", "leaf without subject", onLeaf(change(() => ({ name: encodeName({}), sanCritical: true })))),
  twist(
    "names",
    "leaf without subject, and alternative names not critical",
    onLeaf(change(() => ({ name: encodeName({}) }))),
  ),
  twist("names", "CA without subject", onCa(change(() => ({ name: encodeName({}) })))),
  twist("names", "CA without alternative name", onCa(change(() => ({ sans: [] })))),
  twist(
    "signature",
    "another good algorithm",
    onPresented((cert, plan) => {
      cert.raw = { ...cert.raw, algorithm: otherAlgorithm(issuerOf(cert, plan).key, plan.choices) };
      return true;
    }),
  ),
  twist("signature", "authority with a signature that is none", (plan) => {
    plan.path.at(-1)!.edit = (der) => der.with(der.length - 1, der.at(-1)! ^ 1);
    return true;
  }),
  twist("serial", "serial number zero", onAny(change((cert) => ({ raw: { ...cert.raw, serial: small(0) } })))),
  twist(
    "serial",
    "serial number of 20 bytes",
    onAny(change((cert) => ({ raw: { ...cert.raw, serial: unsigned(new Uint8Array(20).fill(0x7f)) } }))),
  ),
];

const BESIDE: readonly Variation[] = [
  twist("order", "any order", (plan) => {
    plan.isShuffled = true;
    return true;
  }),
  twist("present", "authority presented, too", (plan) => {
    plan.presentsAnchor = true;
    return true;
  }),
  twist("strangers", "strangers presented", (plan) => {
    for (let i = 0; i <= plan.choices.int(3); i++) plan.presented.push(stranger(plan, i));
    plan.isShuffled = true;
    return true;
  }),
  twist("strangers", "many authorities", (plan) => {
    for (let i = 0; i <= plan.choices.int(8); i++) plan.trusted.push(stranger(plan, i));
    plan.isShuffled = true;
    return true;
  }),
  ...Object.keys(SINGLE_FAULTS).map((name) => twist("decoy", `decoy: ${name}`, decoy(name))),
  twist("decoy", "decoy: another key of the same name", (plan) => {
    const at = 1 + plan.choices.int(plan.path.length - 1);
    plan.decoys.push({ at, cert: { ...copyOf(plan.path[at]!), key: plan.newKey() } });
    plan.isShuffled = plan.choices.chance(70);
    return true;
  }),
  twist("decoy", "decoy: another key of the same name, and no key identifiers", (plan) => {
    const at = 1 + plan.choices.int(plan.path.length - 1);
    plan.path[at]!.ski = false;
    plan.path[at - 1]!.aki = "none";
    plan.decoys.push({ at, cert: { ...copyOf(plan.path[at]!), key: plan.newKey() } });
    plan.isShuffled = true;
    return true;
  }),
  twist("decoy", "decoy: cross-signed by a stranger", (plan) => {
    const ca = plan.choices.pick(plan.path.slice(1));
    const by = { name: nameIn(plan, "stranger"), key: plan.newKey() };
    plan.presented.push(signCert(crossed(ca), by, serialOf(plan.choices)));
    plan.isShuffled = true;
    return true;
  }),
  twist("decoy", "decoy: cross-signed in a circle", (plan) => {
    const ca = plan.choices.pick(plan.path.slice(1));
    const by = { name: nameIn(plan, "stranger"), key: plan.newKey() };
    plan.presented.push(signCert(crossed(ca), by, serialOf(plan.choices)));
    plan.presented.push(signCert(caPlan(by.name, by.key), ca, serialOf(plan.choices)));
    plan.isShuffled = true;
    return true;
  }),
];

function stranger(plan: ChainPlan, i: number): Uint8Array {
  return signCert(caPlan(nameIn(plan, `stranger ${i}`), plan.newKey()), undefined, serialOf(plan.choices));
}

function crossed(ca: { name: Uint8Array; key: ReturnType<ChainPlan["newKey"]> }) {
  return caPlan(ca.name, ca.key);
}

/** A twin of a CA, same name and key, with a fault of its own. */
function decoy(name: string): Variation["apply"] {
  return (plan) => {
    const at = 1 + plan.choices.int(plan.path.length - 1);
    const cert = copyOf(plan.path[at]!);
    Object.assign(cert, SINGLE_FAULTS[name]!.edit(cert));
    plan.decoys.push({ at, cert });
    plan.isShuffled = plan.choices.chance(70);
    return true;
  };
}

export const TWISTS: readonly Variation[] = [...DETAILS, ...BESIDE];
