/** The validator on chains that it must trust, and on what decides besides the chain. */
import { describe, expect, test } from "vitest";
import { validateX509Svid } from "../../src/pki/validate.ts";
import { parseAuthorities, validateChain } from "../../src/pki/validate-chain.ts";
import { parseSpiffeId } from "../../src/spiffe/id.ts";
import { ACCEPTED } from "./accepted-chains.ts";
import { der, expectRefusal, three, validate } from "./chains.ts";
import { DAY, ext, HOUR, LEAF_ID, NOW } from "./make.ts";

describe("trusted", () => {
  test.each(Object.entries(ACCEPTED))("%s", (_name, make) => {
    const { spiffeId, leaf, path } = validate(make());
    expect(spiffeId).toBe(LEAF_ID);
    expect(path[0]).toBe(leaf);
    expect(path.length).toBeGreaterThan(1);
  });
});

describe("expected ID", () => {
  const make = three({});
  const options = (id: string) => ({ now: NOW, expectedId: parseSpiffeId(id) });
  test("is accepted", () => {
    expect(validateX509Svid(der(make[0]), der(make[1]), options(LEAF_ID)).spiffeId).toBe(LEAF_ID);
  });
  test("another is not", () => {
    const other = options(`${LEAF_ID}/sub`);
    expectRefusal(() => validateX509Svid(der(make[0]), der(make[1]), other), "leaf-expected-id");
  });
});

test("time decides, not the host's clock", () => {
  const [chain, authorities] = three({});
  const at = (now: number) => () => validateX509Svid(der(chain), der(authorities), { now });
  expect(at(NOW + DAY)).not.toThrow();
  expectRefusal(at(NOW + DAY + 1), "validity");
  expectRefusal(at(NOW - HOUR - 1), "validity");
});

test("authorities may be parsed before", () => {
  const [chain, authorities] = three({});
  const parsed = parseAuthorities(der(authorities));
  expect(validateX509Svid(der(chain), parsed, { now: NOW }).path.at(-1)).toBe(parsed[0]);
});

describe("chains of other kinds", () => {
  const [chain, authorities] = three({ leaf: { extensions: [ext.unknown(true)] } });
  const options = { now: NOW, checkLeaf: () => {} };
  test("a critical extension of the leaf may be the caller's to handle", () => {
    const handledExtensions = new Set(["1.3.6.1.4.1.99999.1"]);
    expect(validateChain(der(chain), der(authorities), { ...options, handledExtensions }).path).toHaveLength(3);
    expectRefusal(() => validateChain(der(chain), der(authorities), options), "critical-extension");
  });
  test("but not one of an issuer", () => {
    const other = three({ middleAdd: [ext.unknown(true)] });
    const handledExtensions = new Set(["1.3.6.1.4.1.99999.1"]);
    const run = () => validateChain(der(other[0]), der(other[1]), { ...options, handledExtensions });
    expectRefusal(run, "critical-extension");
  });
  test("the leaf's rules are the caller's, and run before any signature is verified", () => {
    const [leaf] = chain;
    const checkLeaf = (): void => {
      throw new Error("not this one");
    };
    expect(() =>
      validateChain(der([leaf!]), [], { ...options, handledExtensions: new Set(["1.3.6.1.4.1.99999.1"]), checkLeaf }),
    ).toThrow("not this one");
  });
});
