/** How `NodeAttestor "tpm"` is configured: what is read, and what is said of each mistake. */
import { describe, expect, test } from "vitest";
import type { TpmAgentConfig, TpmServerConfig } from "../../../src/attestors/tpm/config.ts";
import { AGENT_FILE, loadAgentConfig, loadServerConfig, problemsOf, SERVER_FILE } from "../../config/sources.ts";

const A = "aa".repeat(32);
const AT = "plugins.NodeAttestor.tpm.plugin_data";

/** The server's file with these lines as the plugin's data; the first of them is line 11. */
const serverFile = (...lines: string[]): string =>
  `${SERVER_FILE}plugins { NodeAttestor "tpm" { plugin_data {\n${lines.join("\n")}\n} } }\n`;
const server = (...lines: string[]): TpmServerConfig => optionsOf(serverFile(...lines), "server.conf");
const problems = (...lines: string[]): readonly string[] =>
  problemsOf(() => loadServerConfig({ text: serverFile(...lines), fileName: "s" }));

function optionsOf(text: string, fileName: string): TpmServerConfig {
  const { config } = loadServerConfig({ text, fileName });
  const found = config.plugins.nodeAttestors.find(({ name }) => name === "tpm");
  return found?.options as TpmServerConfig;
}

const withAgent = (line: string): string =>
  AGENT_FILE.replace('NodeAttestor "join_token" { plugin_data {} }', `NodeAttestor "tpm" { plugin_data { ${line} } }`);
const agent = (line: string): TpmAgentConfig =>
  loadAgentConfig({ text: withAgent(line), fileName: "agent.conf" }).config.plugins.nodeAttestor
    .options as TpmAgentConfig;

describe("the agent's keys", () => {
  test("may all be left out", () => {
    expect(agent("")).toEqual({ tcti: undefined, timeoutMs: 60_000, ek: undefined, ak: "ec-p256" });
  });

  test("are read", () => {
    expect(agent('tcti = "swtpm:path=/run/tpm.sock" timeout = "90s" ek = "EC-P384" ak = "rsa-2048"')).toEqual({
      tcti: "swtpm:path=/run/tpm.sock",
      timeoutMs: 90_000,
      ek: "ec-p384",
      ak: "rsa-2048",
    });
  });

  test.each([
    ['ek = "rsa-4096"', "ek: must be one of rsa-2048, ec-p256, ec-p384"],
    ['ak = "ec-p384"', "ak: must be one of ec-p256, rsa-2048"],
    ['timeout = "0.5s"', "timeout: must be at least 1s"],
    ['timeout = "soon"', "timeout: must be a duration such as 30s, 1h30m or 168h, in quotes"],
  ])("%s is refused", (line, problem) => {
    const told = problemsOf(() => loadAgentConfig({ text: withAgent(line), fileName: "a" }));
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/^a:8:\d+: /);
    expect(told[0]).toContain(`${AT}.${problem}`);
  });

  test("an unknown key is refused", () => {
    expect(problemsOf(() => loadAgentConfig({ text: withAgent('tpm_pth = "/dev/tpm0"'), fileName: "a" }))).toHaveLength(
      1,
    );
  });
});

describe("the server's keys", () => {
  test("may all be left out: boot PCRs of the SHA-256 bank are quoted, and no policy stands", () => {
    expect(server()).toEqual({
      caPath: undefined,
      hashPath: undefined,
      ekKinds: ["rsa-2048", "ec-p256", "ec-p384"],
      profiles: [],
      quoted: { bank: "sha256", indices: [0, 1, 2, 3, 4, 5, 6, 7] },
      requireQuote: false,
      pcrSelectors: false,
    });
  });

  test("are read", () => {
    const config = server(
      'ca_path = "/etc/certs"',
      'hash_path = "/etc/hashes"',
      'ek_kinds = ["ec-p384", "rsa-2048"]',
      'pcr_bank = "SHA384"',
      'pcrs = ["23", "0", "0"]',
      "pcr_selectors = true",
      "require_quote = true",
    );
    expect(config).toEqual({
      caPath: "/etc/certs",
      hashPath: "/etc/hashes",
      ekKinds: ["ec-p384", "rsa-2048"],
      profiles: [],
      quoted: { bank: "sha384", indices: [23, 0] },
      requireQuote: true,
      pcrSelectors: true,
    });
  });

  test.each([
    ['ek_kinds = ["rsa-4096"]', `${AT}.ek_kinds: must be a list of rsa-2048, ec-p256, ec-p384`],
    ['ek_kinds = ["ec-p256", "ec-p521"]', `${AT}.ek_kinds: must be a list of rsa-2048, ec-p256, ec-p384`],
    ["ek_kinds = []", `${AT}.ek_kinds: must be a list of rsa-2048, ec-p256, ec-p384`],
    ['pcrs = ["24"]', `${AT}.pcrs: "24" is no PCR; want 0 to 23`],
    ['pcrs = ["07"]', `${AT}.pcrs: "07" is no PCR; want 0 to 23`],
    ['pcrs = ["7", "seven"]', `${AT}.pcrs: "seven" is no PCR; want 0 to 23`],
    ['pcrs = ["-1"]', `${AT}.pcrs: "-1" is no PCR; want 0 to 23`],
    ['pcr_bank = "sha512"', `${AT}.pcr_bank: must be one of sha1, sha256, sha384`],
    ['pcr_selectors = "yes"', `${AT}.pcr_selectors: must be true or false, without quotes`],
    ["require_quote = 1", `${AT}.require_quote: must be true or false, without quotes`],
    ['pcr_policy = "x"', `${AT}.pcr_policy: must be a block { … }`],
    ['pcr_policy = ""', `${AT}.pcr_policy: must be a block { … }`],
    ["pcr_policy {}", `${AT}.pcr_policy: names no profile`],
  ])("%s is refused, with its line", (line, problem) => {
    const told = problems('ca_path = "/etc/certs"', line);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/^s:12:\d+: /);
    expect(told[0]).toContain(problem);
  });
});

describe("pcr_policy", () => {
  const WEB = {
    name: "web",
    pcrs: [
      { bank: "sha256", index: 7, values: [A, "bb".repeat(32)] },
      { bank: "sha256", index: 0, values: [A] },
      { bank: "sha1", index: 17, values: ["cc".repeat(20)] },
    ],
  };

  test("in HCL: profiles in blocks, values alone or in lists, in capitals too", () => {
    const { profiles } = server(
      "pcr_policy {",
      `  "web" {`,
      `    sha256 { "7" = ["${A.toUpperCase()}", "${"Bb".repeat(32)}"] "0" = "${A}" }`,
      `    sha1 { "17" = ["${"cc".repeat(20)}"] }`,
      "  }",
      `  "db.v1_a-2" { sha384 { "11" = "${"0d".repeat(48)}" } }`,
      "}",
    );
    // A single value comes before what stands in blocks; within a bank the order does not matter.
    expect(profiles.map(({ name }) => name)).toEqual(["web", "db.v1_a-2"]);
    expect(profiles[0]?.pcrs).toHaveLength(3);
    expect(profiles[0]?.pcrs).toEqual(expect.arrayContaining(WEB.pcrs));
    expect(profiles[1]?.pcrs).toEqual([{ bank: "sha384", index: 11, values: ["0d".repeat(48)] }]);
  });

  test("in HCL: a profile may be split over blocks", () => {
    const { profiles } = server(
      `pcr_policy { "web" { sha256 { "7" = "${A}" } } }`,
      `pcr_policy { "web" { sha256 { "0" = "${A}" } } }`,
    );
    expect(profiles).toHaveLength(1);
    expect(profiles[0]?.pcrs.map(({ index }) => index).toSorted()).toEqual([0, 7]);
  });

  test("in JSON", () => {
    const data = {
      pcr_policy: { web: { sha256: { 7: [A, "bb".repeat(32)], 0: A }, sha1: { 17: ["cc".repeat(20)] } } },
    };
    const text = JSON.stringify({
      server: { trust_domain: "example.org", data_dir: "/var/lib/server" },
      plugins: {
        DataStore: { sql: { plugin_data: { database_type: "sqlite3", connection_string: "/var/lib/server/db" } } },
        KeyManager: { memory: { plugin_data: {} } },
        NodeAttestor: { tpm: { plugin_data: data } },
      },
    });
    const { profiles } = optionsOf(text, "server.json");
    expect(profiles).toHaveLength(1);
    expect(profiles[0]?.pcrs).toEqual(expect.arrayContaining(WEB.pcrs));
  });

  const one = (bank: string): string[] => ["pcr_policy {", '  "web" {', `    ${bank}`, "  }", "}"];
  const many = Array.from({ length: 257 }, () => `"${A}"`).join(", ");
  const RESETTABLE = "is a PCR that any software can reset, and proves nothing";
  const UNMEASURED = "has the value of a PCR into which nothing was measured, and proves nothing";
  const PROBLEMS: readonly (readonly [string, readonly string[], line: number, key: string, problem: string])[] = [
    [
      "a bank that nobody has",
      one('sha512 { "7" = "00" }'),
      13,
      ".web.sha512",
      "is no bank; known: sha1, sha256, sha384",
    ],
    [
      "a bank in capitals",
      one(`SHA256 { "7" = "${A}" }`),
      13,
      ".web.SHA256",
      "is no bank; known: sha1, sha256, sha384",
    ],
    ["a bank that is a text", one(`sha256 = "${A}"`), 13, ".web.sha256", "must be a block { … }"],
    ["a PCR beyond the last", one(`sha256 { "24" = "${A}" }`), 13, ".web.sha256.24", "is no PCR; want 0 to 23"],
    ["a PCR with a leading zero", one(`sha256 { "07" = "${A}" }`), 13, ".web.sha256.07", "is no PCR; want 0 to 23"],
    ["a PCR by name", one(`sha256 { "pcr7" = "${A}" }`), 13, ".web.sha256.pcr7", "is no PCR; want 0 to 23"],
    ["a value too short", one(`sha256 { "7" = "${A.slice(2)}" }`), 13, ".web.sha256.7", "want 64 hex digits"],
    [
      "a value of another bank",
      one(`sha256 { "7" = "${"aa".repeat(48)}" }`),
      13,
      ".web.sha256.7",
      "want 64 hex digits",
    ],
    ["a value that is no hex", one(`sha1 { "7" = "${"zz".repeat(20)}" }`), 13, ".web.sha1.7", "want 40 hex digits"],
    ["a value with 0x", one(`sha1 { "7" = "0x${"aa".repeat(19)}" }`), 13, ".web.sha1.7", "want 40 hex digits"],
    ["one value of two", one(`sha256 { "7" = ["${A}", "aa"] }`), 13, ".web.sha256.7", '"aa" is no value of sha256'],
    ["no value", one('sha256 { "7" = [] }'), 13, ".web.sha256.7", "must have 1 to 256 values"],
    ["too many values", one(`sha256 { "7" = [${many}] }`), 13, ".web.sha256.7", "must have 1 to 256 values"],
    ["the debug PCR", one(`sha256 { "16" = "${A}" }`), 13, ".web.sha256.16", RESETTABLE],
    ["the PCR of applications", one(`sha1 { "23" = "${"cc".repeat(20)}" }`), 13, ".web.sha1.23", RESETTABLE],
    ["zeroes of the first PCR", one(`sha256 { "0" = "${"00".repeat(32)}" }`), 13, ".web.sha256.0", UNMEASURED],
    [
      "zeroes of PCR 7, beside another value",
      one(`sha1 { "7" = ["${"cc".repeat(20)}", "${"00".repeat(20)}"] }`),
      13,
      ".web.sha1.7",
      UNMEASURED,
    ],
    ["ones of PCR 4, in capitals", one(`sha384 { "4" = "${"FF".repeat(48)}" }`), 13, ".web.sha384.4", UNMEASURED],
    ["a number", one('sha256 { "7" = 7 }'), 13, ".web.sha256.7", "must be text in quotes, or a list of such texts"],
    [
      "a block for a value",
      one('sha256 { "7" { a = "b" } }'),
      13,
      ".web.sha256.7",
      "must be a value in hex, or a list of them",
    ],
    ["a profile without PCRs", ["pcr_policy {", '  "web" {}', "}"], 12, ".web", "names no PCR"],
    ["a profile with an empty bank", one("sha256 {}"), 12, ".web", "names no PCR"],
    ["a profile that is a text", ["pcr_policy {", '  "web" = "x"', "}"], 12, ".web", "names no PCR"],
    [
      "a profile with a colon in its name",
      ["pcr_policy {", `  "a:b" { sha256 { "7" = "${A}" } }`, "}"],
      12,
      ".a:b",
      "is no name for a profile",
    ],
    [
      "a profile with too long a name",
      ["pcr_policy {", `  "${"a".repeat(65)}" { sha256 { "7" = "${A}" } }`, "}"],
      12,
      `.${"a".repeat(65)}`,
      "is no name for a profile",
    ],
  ];

  test.each(PROBLEMS)("%s is refused, with line and key", (_name, lines, line, key, problem) => {
    const told = problems(...lines);
    const about = told.find((text) => text.includes(problem));
    expect(about ?? told).toMatch(new RegExp(`^s:${line}:\\d+: `));
    expect(about).toContain(`${AT}.pcr_policy${key}: `);
  });

  test("a PCR beyond those of the firmware may have been left alone: its value is the operator's to judge", () => {
    const zeroes = "00".repeat(32);
    const { profiles } = server(...one(`sha256 { "8" = "${zeroes}" "17" = "${"ff".repeat(32)}" }`));
    expect(profiles[0]?.pcrs.map(({ index }) => index).toSorted((a, b) => a - b)).toEqual([8, 17]);
  });

  test("a PCR that two blocks of a profile name is refused", () => {
    const block = `pcr_policy { "web" { sha256 { "7" = "${A}" } } }`;
    expect(problems(block, block)).toEqual([expect.stringContaining(`${AT}.pcr_policy.web.sha256.7: is set twice`)]);
    expect(problems(block, block)[0]).toMatch(/^s:12:/);
    expect(problems(...one(`sha256 { "7" = "${A}" "7" = "${A}" }`))).toEqual([
      expect.stringMatching(/^s:13:\d+: "7" is set twice/),
    ]);
  });

  test("too many profiles are refused", () => {
    const profiles = Array.from({ length: 65 }, (_, n) => `"p${n}" { sha256 { "7" = "${A}" } }`);
    expect(problems("pcr_policy {", ...profiles, "}").join("\n")).toContain("has 65 profiles; at most 64 are read");
  });

  test("all mistakes are told at once", () => {
    const told = problems(
      "pcr_policy {",
      '"a" { sha256 { "24" = "00" } }',
      '"b" { sha9 { "1" = "00" } }',
      "}",
      'pcrs = ["x"]',
    );
    expect(told.length).toBeGreaterThanOrEqual(4);
  });
});
