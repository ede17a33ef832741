import { describe, expect, test } from "vitest";
import { Node } from "../../../src/gen/envoy/config/core/v3/base.ts";
import { validatorFor } from "../../../src/workload-api/sds/validator.ts";

/** Through the wire, so that metadata is what protobuf makes of it. */
function node(fields: Parameters<typeof Node.fromPartial>[0]): Node {
  return Node.decode(Node.encode(Node.fromPartial(fields)).finish());
}

const ofVersion = (majorNumber: number, minorNumber: number, patch = 0): Node =>
  node({
    userAgentVersionType: {
      $case: "userAgentBuildVersion",
      value: { version: { majorNumber, minorNumber, patch } },
    },
  });

describe("the build version", () => {
  test.each([
    [0, 99, "trusted_ca"],
    [1, 0, "trusted_ca"],
    [1, 16, "trusted_ca"],
    [1, 17, "trusted_ca"],
    [1, 18, "spiffe"],
    [1, 40, "spiffe"],
    [2, 0, "spiffe"],
  ] as const)("%i.%i has %s", (major, minor, validator) => {
    expect(validatorFor(ofVersion(major, minor, 7), false)).toBe(validator);
    expect(validatorFor(ofVersion(major, minor), true)).toBe("trusted_ca");
  });

  test("absent, it is new enough", () => {
    expect(validatorFor(undefined, false)).toBe("spiffe");
    expect(validatorFor(node({}), false)).toBe("spiffe");
    const empty = { $case: "userAgentBuildVersion", value: {} } as const;
    expect(validatorFor(node({ userAgentVersionType: empty }), false)).toBe("spiffe");
  });
});

describe("the node's metadata", () => {
  const withValue = (value: unknown): Node => node({ metadata: { disable_spiffe_cert_validation: value } });
  const texts = { true: ["1", "t", "T", "true", "TRUE", "True"], false: ["0", "f", "F", "false", "FALSE", "False"] };

  test.each([true, ...texts.true])("%j disables the SPIFFE validator, whatever is configured", (value) => {
    expect([validatorFor(withValue(value), false), validatorFor(withValue(value), true)]).toEqual([
      "trusted_ca",
      "trusted_ca",
    ]);
  });

  test.each([false, ...texts.false])("%j enables it, whatever is configured", (value) => {
    expect([validatorFor(withValue(value), false), validatorFor(withValue(value), true)]).toEqual(["spiffe", "spiffe"]);
  });

  test.each(["yes", "tRUE", "", 1, 0, null, ["true"], { true: true }])("%j says nothing", (value) => {
    expect([validatorFor(withValue(value), false), validatorFor(withValue(value), true)]).toEqual([
      "spiffe",
      "trusted_ca",
    ]);
  });

  test("an enabled validator still needs an Envoy that has it", () => {
    const old = { ...ofVersion(1, 17), metadata: { disable_spiffe_cert_validation: false } };
    expect(validatorFor(old, true)).toBe("trusted_ca");
  });

  test("other keys and prototypes say nothing", () => {
    expect(validatorFor(node({ metadata: { other: true } }), false)).toBe("spiffe");
    const metadata = JSON.parse('{"__proto__": {"disable_spiffe_cert_validation": true}}') as Record<string, unknown>;
    expect(validatorFor(node({ metadata }), false)).toBe("spiffe");
  });
});
