/** What an attacker can make the validator do is bounded: sizes, signatures, comparisons; and no changed byte passes. */
import { describe, expect, test } from "vitest";
import { AgentError } from "../../src/lib/errors.ts";
import type { Certificate } from "../../src/pki/certificate.ts";
import { parseCertificate } from "../../src/pki/certificate.ts";
import { parseCsr, verifyCsr } from "../../src/pki/csr.ts";
import { validateX509Svid } from "../../src/pki/validate.ts";
import { quotedName } from "../../src/pki/validate-checks.ts";
import { type Chain, der, expectRefusal, refusal, three, validate } from "./chains.ts";
import {
  cn,
  ecKey,
  ext,
  extensionRequest,
  gn,
  LEAF_ID,
  makeCa,
  makeCert,
  makeCsr,
  makeLeaf,
  NOW,
  type TestCert,
} from "./make.ts";

/** A chain of `n` CAs below one another, the highest first. */
function ladder(n: number): TestCert[] {
  const cas: TestCert[] = [];
  for (let i = 0; i < n; i++) cas.push(makeCa(cas.at(-1)));
  return cas;
}

describe("sizes", () => {
  test("sixteen certificates are read, seventeen are not", () => {
    const root = makeCa();
    const leaf = makeLeaf(root);
    const other = makeCa();
    const chain = (n: number): Chain => [leaf, ...Array.from({ length: n - 1 }, () => other)];
    expect(validate([chain(16), [root]]).spiffeId).toBe(LEAF_ID);
    expectRefusal(() => validate([chain(17), [root]]), "limits");
  });

  test("a certificate of more than 64 KiB is not read", () => {
    const root = makeCa();
    const big = makeLeaf(root, {}, [ext.raw("1.2.3", false, new Uint8Array(65_536))]);
    expectRefusal(() => validate([[big], [root]]), "longer than 65536 bytes");
  });

  test("a path of eight is followed, of nine is not", () => {
    const cas = ladder(8);
    const path = (n: number): [Chain, Chain] => {
      const used = cas.slice(0, n - 1);
      return [[makeLeaf(used.at(-1)!), ...used.slice(1)], used.slice(0, 1)];
    };
    expect(validate(path(8)).path).toHaveLength(8);
    expectRefusal(() => validate(path(9)), "limits");
  });
});

describe("work", () => {
  test("a leaf and two cross-signed certificates, all made by the attacker", () => {
    const [a, b] = [makeCa(undefined, { name: cn("a") }), makeCa(undefined, { name: cn("b") })];
    const aByB = makeCa(b, { name: a.name, key: a.key });
    const bByA = makeCa(a, { name: b.name, key: b.key });
    const started = performance.now();
    expectRefusal(() => validate([[makeLeaf(a), aByB, bByA], [makeCa()]]), "issuer");
    expect(performance.now() - started).toBeLessThan(500);
  });

  test("fifteen certificates of one name that sign one another stop at 32 signatures", () => {
    const name = cn("same");
    const keys = Array.from({ length: 5 }, () => ecKey());
    const pool = keys.flatMap((key, level) => {
      const above = { name, key: keys[(level + 1) % keys.length]! };
      return [1, 2, 3].map(() => makeCa(above, { name, key }));
    });
    const leaf = makeLeaf({ name, key: keys[0]! });
    const started = performance.now();
    expectRefusal(() => validate([[leaf, ...pool], [makeCa(undefined, { name })]]), "limits");
    expect(performance.now() - started).toBeLessThan(500);
  });

  test("a thousand authorities of one name cost 32 signatures", () => {
    const name = cn("same");
    const root = makeCa(undefined, { name, extensions: [ext.ca, ext.caUsage] });
    const others = Array.from({ length: 40 }, () => makeCa(undefined, { name, extensions: [ext.ca, ext.caUsage] }));
    const authorities = Array.from({ length: 1000 }, (_, i) => others[i % others.length]!);
    expectRefusal(() => validate([[makeLeaf(root)], authorities]), "limits");
    // with a key identifier the right one is found among them
    const known = makeCa(undefined, { name });
    expect(validate([[makeLeaf(known)], [...authorities, known]]).path[1]!.der).toEqual(known.der);
  });

  test("a thousand names under a thousand constraints", () => {
    const many = (n: number, make: (i: number) => Uint8Array) => Array.from({ length: n }, (_, i) => make(i));
    const constraint = ext.nameConstraints(
      [],
      many(1000, (i) => gn.dns(`x${i}.test`)),
    );
    const sans = ext.san(gn.uri(LEAF_ID), ...many(1000, (i) => gn.dns(`a${i}.test`)));
    const root = makeCa(undefined, {}, [constraint]);
    const leaf = makeLeaf(root, { extensions: [ext.leafUsage, sans] });
    expectRefusal(() => validate([[leaf], [root]]), "limits");
  });

  test("more names than are read", () => {
    const root = makeCa();
    const names = Array.from({ length: 1025 }, (_, i) => gn.dns(`a${i}`));
    expectRefusal(() => validate([[makeLeaf(root, { extensions: [ext.san(...names)] })], [root]]), "parse");
  });
});

describe("every changed byte is refused", () => {
  /** Some thousand changes of single bytes, spread over the input; never the same byte again. */
  function* changes(bytes: Uint8Array): Generator<Uint8Array> {
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [0x01, 0x80, 0x20, 0xff]) {
        const changed = bytes.slice();
        changed[at]! ^= flip;
        yield changed;
      }
    }
  }

  test("of a chain", () => {
    const [chain, authorities] = three({ leafAdd: [ext.unknown(false)] });
    const good = der(chain);
    let count = 0;
    for (const [index, member] of good.entries()) {
      for (const changed of changes(member)) {
        const error = refusal(() => validateX509Svid(good.with(index, changed), der(authorities), { now: NOW }));
        if (error.code !== "UNTRUSTED") throw error;
        count++;
      }
    }
    expect(count).toBeGreaterThan(3000);
  });

  test("of a request", async () => {
    const key = ecKey();
    const good = makeCsr(key, [extensionRequest(ext.uri(LEAF_ID))]);
    await verifyCsr(parseCsr(good));
    let count = 0;
    for (const changed of changes(good)) {
      const error: unknown = await readRequest(changed).catch((reason: unknown) => reason);
      if (!(error instanceof AgentError) || !["UNTRUSTED", "MALFORMED"].includes(error.code)) {
        throw new Error("accepted, or failed otherwise", { cause: error });
      }
      count++;
    }
    expect(count).toBeGreaterThan(1000);
  });

  test("cut short anywhere", () => {
    const cert = makeCert(undefined, {}).der;
    for (let length = 0; length < cert.length; length++) {
      expect(() => parseCertificate(cert.subarray(0, length))).toThrow(AgentError);
    }
  });

  test("of a certificate: read, or refused as malformed", () => {
    const { der: cert } = makeLeaf(makeCa(), {}, [
      ext.nameConstraints([gn.directory(cn("a")), gn.ip(1, 2, 3, 4, 5, 6, 7, 8)]),
    ]);
    for (const changed of changes(cert)) {
      try {
        const parsed = parseCertificate(changed);
        expect(parsed.subject.text + parsed.issuer.text).toBeTypeOf("string");
      } catch (error) {
        if (!(error instanceof AgentError) || error.code !== "MALFORMED") throw error;
      }
    }
  });
});

async function readRequest(csr: Uint8Array): Promise<void> {
  await verifyCsr(parseCsr(csr));
}

test("a refusal repeats no more of a name than fits a line of the log", () => {
  expect(quotedName({ text: "CN=a" } as Certificate["subject"])).toBe('"CN=a"');
  expect(quotedName({ text: "x".repeat(10_000) } as Certificate["subject"])).toBe(`"${"x".repeat(256)}…"`);
});
