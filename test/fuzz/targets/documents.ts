/** Bundles, configuration, stored data, and what the kernel and the host's files say: texts, read a second time. */
import { createPublicKey } from "node:crypto";
import { mutateBytes } from "../../../scripts/fuzz/mutate-bytes.ts";
import { mutateParts, packFields, unpackFields } from "../../../scripts/fuzz/mutate-fields.ts";
import { jsonMutator } from "../../../scripts/fuzz/mutate-json.ts";
import { type FuzzTarget, holds, type Verdict } from "../../../scripts/fuzz/target.ts";
import { decodeAgentData, encodeAgentData } from "../../../src/agent/agent-data.ts";
import { parseNames } from "../../../src/attestors/unix/names.ts";
import { parseStatus } from "../../../src/attestors/unix/status.ts";
import { type Node, SyntaxProblem } from "../../../src/config/hcl/node.ts";
import { readTree } from "../../../src/config/hcl/read.ts";
import { formatBundle, parseBundle } from "../../../src/pki/bundle-format.ts";
import { formatJwks } from "../../../src/pki/jwks.ts";
import type { KeyAuthority, TrustBundle } from "../../../src/spiffe/bundle.ts";
import {
  isReserved,
  makeSpiffeId,
  parseSpiffeId,
  parseTrustDomain,
  pathOf,
  trustDomainOf,
} from "../../../src/spiffe/id.ts";
import { parseSelector, selectorText } from "../../../src/spiffe/selector.ts";
import { AGENT_DATA, agentFile, BUNDLE_TEXTS, CONFIG_TEXTS, keyIn } from "../seeds/documents.ts";
import { isSpiffeId } from "../seeds/second-jwt.ts";
import { OWN } from "../seeds/world.ts";
import { PKI } from "./covers.ts";
import { equal } from "./plain.ts";
import { chosen, judged, outcome, same } from "./refusal.ts";

const NAMES = "keys use kty kid crv x y n e x5c alg spiffe_sequence spiffe_refresh_hint __proto__ d".split(" ");
const VALUES: readonly unknown[] = [
  "x509-svid",
  "jwt-svid",
  "wit-svid",
  "EC",
  "RSA",
  "OKP",
  "P-256",
  "P-384",
  "P-521",
  "a",
  "AQAB",
];

/** Trust bundles: JSON when they begin so, else PEM. */
export const bundle: FuzzTarget = {
  name: "bundle",
  about: "trust bundles, SPIFFE's document and PEM: parseBundle, spkiFromJwk, formatBundle, formatJwks",
  covers: PKI,
  maxBytes: 65_536,
  seeds: () => BUNDLE_TEXTS,
  mutate: jsonMutator(NAMES, VALUES),
  run: (input) => {
    const text = Buffer.from(input).toString();
    const format = text.trimStart().startsWith("{") ? "spiffe" : "pem";
    return judged(
      () => parseBundle(text, format, OWN),
      (read) => {
        const again = outcome(() => parseBundle(formatBundle(read, format), format, OWN), "UNTRUSTED", "MALFORMED");
        if (format === "spiffe") {
          holds(again.verdict === "accepted" && equal(again.value, read), "a bundle is written and read as the same");
          checkKeys(read, JSON.parse(text) as { keys: Record<string, unknown>[] });
        } else if (read.x509Authorities.length > 0) {
          holds(again.verdict === "accepted" && equal(again.value, read), "PEM is written and read as the same");
        }
        const kids = (JSON.parse(formatJwks(read.jwtAuthorities)) as { keys: { kid: string }[] }).keys;
        holds(
          equal(
            kids.map(({ kid }) => kid),
            read.jwtAuthorities.map(({ keyId }) => keyId),
          ),
          "the JWK Set has the same keys",
        );
      },
    );
  },
};

/** Keys are those that say that they are for it, with the ID that they say, as OpenSSL reads them. */
function checkKeys(read: TrustBundle, { keys }: { readonly keys: readonly Record<string, unknown>[] }): void {
  const check = (use: string, authorities: readonly KeyAuthority[]): void => {
    for (const { keyId, publicKey } of authorities) {
      const mine = keys.filter((one) => one.use === use && one.kid === keyId);
      holds(mine.length > 0, "a key is for what it is used for");
      if (chosen(publicKey, 4))
        holds(
          mine.some((one) => isKey(one, publicKey)),
          "a key is the one of its element",
        );
    }
  };
  check("jwt-svid", read.jwtAuthorities);
  check("wit-svid", read.witAuthorities);
  const sent = keys
    .filter(({ use }) => use === "x509-svid")
    .map(({ x5c }) => (Array.isArray(x5c) ? x5c[0] : undefined));
  for (const { certificate } of read.x509Authorities) {
    holds(sent.includes(Buffer.from(certificate).toString("base64")), "an authority is the first of its x5c");
    if (!chosen(certificate, 4)) continue;
    const mine = keys.filter(({ x5c }) => Array.isArray(x5c) && x5c[0] === Buffer.from(certificate).toString("base64"));
    holds(
      mine.some((one) => isKey(one, keyIn(certificate) ?? certificate)),
      "its key is the element's",
    );
  }
}

/** Whether OpenSSL reads the element as this key. */
function isKey({ kty, crv, x, y, n, e }: Readonly<Record<string, unknown>>, spki: Uint8Array): boolean {
  try {
    const key = kty === "RSA" ? { kty, n, e } : { kty, crv, x, y };
    return same(createPublicKey({ key: key as never, format: "jwk" }).export({ type: "spki", format: "der" }), spki);
  } catch {
    // Elements of kinds that are left out may have the same ID.
    return false;
  }
}

/** Configuration files. */
export const config: FuzzTarget = {
  name: "config",
  about: "configuration files, HCL 1 and JSON: readTree",
  covers: ["/src/config/hcl/"],
  maxBytes: 16_384,
  seeds: () => CONFIG_TEXTS,
  mutate: jsonMutator(["agent", "server", "plugins", "a", "__proto__"], ["0x1f", "${x}", "\\"]),
  run: (input): Verdict => {
    const text = Buffer.from(input).toString();
    const json = text.trimStart().startsWith("{") && !text.startsWith("\ufeff") ? parsed(text) : undefined;
    try {
      const tree = readTree(text);
      // A member that comes twice is refused, so that nothing is lost.
      if (json !== undefined) holds(equal(plain(tree), json.value), "JSON is read as JSON.parse reads it");
      else if (text.trimStart().startsWith("{") && !text.startsWith("\ufeff"))
        holds(false, "what is no JSON is refused");
      return "accepted";
    } catch (error) {
      if (!(error instanceof SyntaxProblem)) throw error;
      const { line, column } = error.at;
      holds(line >= 1 && column >= 1 && line <= text.split("\n").length, "a problem is somewhere in the file");
      return "refused";
    }
  },
};

/** What the agent stored; whoever can write there is the agent or root. */
export const agentData: FuzzTarget = {
  name: "agent-data",
  about: "the agent's stored data: decodeAgentData, encodeAgentData",
  covers: ["/src/agent/agent-data.ts", ...PKI],
  maxBytes: 65_536,
  seeds: () => AGENT_DATA.map((data) => packFields({ flags: 1, parts: [data] })),
  mutate: mutateParts(
    jsonMutator("trust_domain last_good_time svid bundle chain private_key key_id".split(" "), ["7", true]),
  ),
  run: (input) => {
    const { flags, parts } = unpackFields(input, 1);
    const data = parts[0] ?? new Uint8Array();
    const text = flags >= 0xfc ? Buffer.from(data).toString() : agentFile(data, 1 + (flags >> 6));
    const read = decodeAgentData(text, OWN);
    if ("why" in read) return "refused";
    holds(equal(decodeAgentData(encodeAgentData(read, OWN, true), OWN), read), "what is stored is read as the same");
    return "accepted";
  },
};

const ID_SEEDS = [
  "spiffe://example.org/a/b.c",
  "spiffe://example.org",
  "spiffe://a_b-c.d/.x/..y/Z_9",
  "unix:uid:0",
  "example.org",
];

/** SPIFFE IDs, trust domains and selectors. */
export const spiffeId: FuzzTarget = {
  name: "spiffe-id",
  about: "SPIFFE IDs, trust domains, selectors: parseSpiffeId, parseTrustDomain, makeSpiffeId, parseSelector",
  covers: ["/src/spiffe/"],
  maxBytes: 4_096,
  seeds: () => ID_SEEDS.map((text) => Buffer.from(text)),
  mutate: mutateBytes,
  run: (input) => {
    const text = Buffer.from(input).toString();
    const id = outcome(() => parseSpiffeId(text), "INVALID_ARGUMENT");
    holds((id.verdict === "accepted") === isSpiffeId(text), "two readers agree whether it is an ID");
    const domain = outcome(() => parseTrustDomain(text), "INVALID_ARGUMENT");
    const isName = !text.startsWith("spiffe://") && isSpiffeId(`spiffe://${text}/x`) && !text.includes("/");
    holds((domain.verdict === "accepted") === (isName || id.verdict === "accepted"), "a domain is a name or an ID");
    // A type or a value that is too long, or empty, is no selector.
    const selector = text.length > 4_000 ? undefined : outcomeOfSelector(text);
    if (selector !== undefined) holds(selector === text, "a selector is written as it was read");
    if (id.verdict === "refused")
      return domain.verdict === "accepted" || selector !== undefined ? "accepted" : "refused";
    const { value } = id;
    holds(`spiffe://${trustDomainOf(value)}${pathOf(value)}` === text, "an ID is its domain and its path");
    holds(makeSpiffeId(trustDomainOf(value), pathOf(value)) === value, "and is made of them again");
    holds(isReserved(value) === /^\/spire(?:\/|$)/.test(pathOf(value)), "what is reserved is");
    return "accepted";
  },
};

function outcomeOfSelector(text: string): string | undefined {
  const read = outcome(() => parseSelector(text.slice(0, 900)), "INVALID_ARGUMENT");
  return read.verdict === "accepted" && text.length <= 900 ? selectorText(read.value) : undefined;
}

const STATUS =
  "Name:\tnode\nUmask:\t0022\nState:\tS (sleeping)\nUid:\t0\t1000\t0\t0\nGid:\t5\t6\t7\t8\nGroups:\t4 24 27 \nNSpid:\t9\n";
const PASSWD = "root:x:0:0:root:/root:/bin/bash\n+nis:::\nuser:x:1000:1000::/home/user:/bin/sh\n# no\nsame:x:0:0\n";

/** `/proc/PID/status`, `/etc/passwd` and `/etc/group`. */
export const hostFiles: FuzzTarget = {
  name: "host-files",
  about: "/proc/PID/status, /etc/passwd and /etc/group: parseStatus, parseNames",
  covers: ["/src/attestors/unix/status.ts", "/src/attestors/unix/names.ts"],
  maxBytes: 8_192,
  seeds: () => [STATUS, STATUS.replace("4 24 27 ", ""), `${STATUS}${PASSWD}`].map((text) => Buffer.from(text)),
  mutate: mutateBytes,
  run: (input) => {
    for (const [number, name] of parseNames(Buffer.from(input).toString())) {
      holds(number >= 0, "a number is one");
      holds(name !== "" && !/[:\n]/.test(name) && !/^[#+-]/.test(name), "a name is the first field of its line");
    }
    return judged(
      () => parseStatus(Buffer.from(input)),
      ({ uid, gid, supplementaryGids }) => {
        const lines = Buffer.from(input).toString("latin1").split("\n");
        const second = (start: string): number =>
          Number(lines.find((line) => new RegExp(`^${start}\\t\\d+\\t\\d+\\t`).test(line))?.split("\t")[2]);
        holds(uid === second("Uid:") && gid === second("Gid:"), "user and group are the second of their lines");
        holds(
          supplementaryGids.every((one) => one >= 0),
          "groups are numbers",
        );
      },
    );
  },
};

function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function plain(node: Node): unknown {
  if (node.kind === "object") return Object.fromEntries(node.entries.map(({ key, value }) => [key, plain(value)]));
  if (node.kind === "list") return node.items.map(plain);
  return node.kind === "null" ? null : node.value;
}
