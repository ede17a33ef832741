/** The units that Holdfast ships, judged by systemd's own tools. */

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { works } from "../native/support.ts";

const UNITS = resolve(import.meta.dirname, "../../systemd");
/** What a unit may be exposed, of 10. */
const MOST_EXPOSURE = 2.5;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "units-"));
  cpSync(UNITS, folder, { recursive: true });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The values of a key, in the order of the file. */
function values(file: string, key: string): string[] {
  return readFileSync(join(UNITS, file), "utf8")
    .split("\n")
    .filter((line) => line.startsWith(`${key}=`))
    .map((line) => line.slice(key.length + 1));
}

describe.skipIf(!works("systemd-analyze", "--version"))("by systemd-analyze (which must be installed)", () => {
  test.each([
    ["holdfast-agent.service, as for a TPM", "holdfast-agent.service", true],
    ["holdfast-agent.service", "holdfast-agent.service", false],
    ["holdfast-server.service", "holdfast-server.service", false],
  ])("%s is exposed little", (_, unit, dropIns) => {
    if (!dropIns) rmSync(join(folder, `${unit}.d`), { recursive: true, force: true });
    const threshold = `--threshold=${MOST_EXPOSURE * 10}`;
    const args = ["security", "--offline=true", "--no-pager", threshold, join(folder, unit)];
    const { status, stdout, stderr } = spawnSync("systemd-analyze", args, { encoding: "utf8" });
    expect(Number(/Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1]), stderr).toBeLessThanOrEqual(
      MOST_EXPOSURE,
    );
    expect(status).toBe(0);
  });

  test("verify has nothing to say", () => {
    cpSync(UNITS, folder, { recursive: true });
    const units = readdirSync(folder).filter((name) => /\.(service|socket)$/.test(name));
    expect(units.sort()).toEqual(["holdfast-agent.service", "holdfast-agent.socket", "holdfast-server.service"]);
    for (const unit of units) {
      // The programs need not be installed where this is tested.
      const text = readFileSync(join(folder, unit), "utf8").replaceAll(/^ExecStart=\S+/gm, "ExecStart=/bin/sh");
      writeFileSync(join(folder, unit), text);
    }
    const args = ["verify", "--man=no", ...units.map((unit) => join(folder, unit))];
    const { status, stdout, stderr } = spawnSync("systemd-analyze", args, { encoding: "utf8" });
    expect(`${stdout}${stderr}`).toBe("");
    expect(status).toBe(0);
  });
});

describe("what a restart relies on", () => {
  test.each(["holdfast-agent.service", "holdfast-server.service"])(
    "%s starts again, however often it fails",
    (unit) => {
      expect(values(unit, "Restart")).toEqual(["always"]);
      expect(values(unit, "StartLimitIntervalSec")).toEqual(["0"]);
      expect(values(unit, "Type")).toEqual(["notify"]);
      expect(values(unit, "WatchdogSec")).toEqual(["30"]);
    },
  );

  test("the agent has one capability, and its socket outlives it", () => {
    expect(values("holdfast-agent.service", "CapabilityBoundingSet")).toEqual(["CAP_SYS_PTRACE"]);
    expect(values("holdfast-agent.service", "AmbientCapabilities")).toEqual(["CAP_SYS_PTRACE"]);
    expect(values("holdfast-agent.service", "RuntimeDirectoryPreserve")).toEqual(["yes"]);
    expect(values("holdfast-server.service", "CapabilityBoundingSet")).toEqual([""]);
  });
});
