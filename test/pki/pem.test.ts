/** PEM: what is written and read, and damaged text. */
import { describe, expect, test } from "vitest";
import { pemDecode, pemEncode } from "../../src/pki/pem.ts";

const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
const pem = pemEncode("CERTIFICATE", bytes);

test("writes lines of 64 characters", () => {
  const lines = pem.split("\n");
  expect(lines[0]).toBe("-----BEGIN CERTIFICATE-----");
  expect(lines.slice(1, -2).map((line) => line.length)).toEqual([64, 64, 8]);
  expect(lines.slice(-2)).toEqual(["-----END CERTIFICATE-----", ""]);
});

describe("reads", () => {
  test.each([
    ["what was written", pem, [bytes]],
    ["several blocks", pem + pem, [bytes, bytes]],
    ["text between blocks", `# root\n${pem}\nsome text\n${pem}`, [bytes, bytes]],
    ["line ends of Windows", pem.replaceAll("\n", "\r\n"), [bytes]],
    ["no final newline", pem.trimEnd(), [bytes]],
    ["blocks of another label", pemEncode("PRIVATE KEY", bytes) + pem, [bytes]],
    ["nothing", "", []],
  ])("%s", (_name, text, blocks) => {
    expect(pemDecode(text, "CERTIFICATE")).toEqual(blocks);
  });
});

describe("refuses", () => {
  test.each([
    ["a block without end", pem.replace("-----END CERTIFICATE-----\n", "")],
    ["an end without beginning", pem.replace("-----BEGIN CERTIFICATE-----\n", "")],
    ["another label at the end", pem.replace("END CERTIFICATE", "END PRIVATE KEY")],
    ["a block in a block", pem.replace("-----END", `${pem}-----END`)],
    ["a cut block", pem.replace("AAEC", "AAE")],
    ["characters outside of base64", pem.replace("AAEC", "AA*C")],
    ["bits after the end", pem.replace(/.==\n/, "/==\n")],
    ["an empty block", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"],
    ["a damaged block of another label", pemEncode("X", bytes).replace("AAEC", "AA*C") + pem],
    ["more than 4 MiB", " ".repeat(4 * 1024 * 1024 + 1)],
  ])("%s", (_name, text) => {
    expect(() => pemDecode(text, "CERTIFICATE")).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });
});

test("says why an encrypted key is not read", () => {
  const encrypted = pem.replace("\n", "\nProc-Type: 4,ENCRYPTED\n\n");
  expect(() => pemDecode(encrypted, "CERTIFICATE")).toThrow(/line 2: headers, as encrypted keys have/);
});
