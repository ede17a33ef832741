/** The storage key in a software TPM. */
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { Swtpm } from "../../../scripts/lib/swtpm.ts";
import { parseKeyFile, TPM_KEY_FILE, TpmKeyKeeper } from "../../../src/agent/store/tpm-key.ts";
import { TpmDevice } from "../../../src/attestors/tpm/device/tpm-device.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { loadAddon } from "../../native/support.ts";
import { MISSING, startTpm, WHY } from "../../native/tpm-support.ts";
import { RecordingLogger } from "../harness.ts";

const NEVER = new AbortController().signal;

describe.skipIf(MISSING !== undefined)(`a storage key in a TPM${WHY}`, () => {
  let swtpm: Swtpm;
  beforeAll(async () => {
    swtpm = await startTpm();
  });
  afterAll(() => swtpm[Symbol.asyncDispose]());

  function site() {
    const folder = mkdtempSync(join(tmpdir(), "tpm-key-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const log = new RecordingLogger();
    const keeper = (pcrs: readonly number[] = [7], tcti = swtpm.tcti) =>
      new TpmKeyKeeper({
        clock: systemClock,
        log,
        random: systemRandom,
        tpm: new TpmDevice({ clock: systemClock, opener: loadAddon(), tcti, timeoutMs: 10_000 }),
        folder,
        pcrs,
      });
    return { folder, path: join(folder, TPM_KEY_FILE), log, keeper };
  }

  test("is made once, found again also after a reboot, and is not in the file", async () => {
    const { keeper, path } = site();
    const made = await keeper().open(NEVER);
    expect(made).toMatchObject({ protection: "tpm" });
    expect(await keeper().open(NEVER)).toEqual(made);
    expect(readFileSync(path)).not.toContain(Buffer.from(made.bytes).toString("base64").slice(0, 20));
    await swtpm.restart();
    expect(await keeper().open(NEVER)).toEqual(made);
  });

  test("is set aside when a PCR changed, and another one is made", async () => {
    const { keeper, folder, log } = site();
    const made = await keeper([16]).open(NEVER);
    await swtpm.extend("sha256", 16, createHash("sha256").update("firmware").digest());
    expect(await keeper([16]).open(NEVER)).not.toEqual(made);
    expect(log.text).toContain("the PCRs that it is sealed to have changed");
    expect(readdirSync(folder).filter((name) => name.startsWith(`${TPM_KEY_FILE}.foreign-`))).toHaveLength(1);
  });

  test("is kept through an update of the firmware when it was loosened before, and bound again after", async () => {
    const { keeper, path } = site();
    const made = await keeper([16]).open(NEVER);
    await keeper([16]).seal(made.bytes, [], NEVER);
    await swtpm.extend("sha256", 16, createHash("sha256").update("update").digest());
    expect(await keeper([16]).open(NEVER)).toEqual(made);
    expect(parseKeyFile(readFileSync(path, "utf8"))).toMatchObject({ pcrs: [16] });
  });

  test("of another TPM is set aside", async () => {
    const { keeper, log } = site();
    await keeper().open(NEVER);
    await using other = await startTpm();
    await keeper([7], other.tcti).open(NEVER);
    expect(log.text).toContain("another TPM sealed it");
  });

  test("is left alone when the TPM cannot be asked", async () => {
    const { keeper, path, folder } = site();
    await keeper().open(NEVER);
    const before = readFileSync(path);
    const gone = keeper([7], "swtpm:path=/nowhere/tpm.sock");
    await expect(gone.open(NEVER)).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    expect(readFileSync(path)).toEqual(before);
    expect(readdirSync(folder)).toEqual([TPM_KEY_FILE]);
  });

  test("changed at any byte it is set aside or the same, and never fatal", async () => {
    const { keeper, path } = site();
    const made = await keeper([]).open(NEVER);
    const file = readFileSync(path);
    for (let at = 0; at < file.length; at += Math.ceil(file.length / 30)) {
      const changed = Buffer.from(file);
      changed[at] = (changed[at] as number) ^ 1;
      writeFileSync(path, changed, { mode: 0o600 });
      const { bytes } = await keeper([]).open(NEVER);
      expect(bytes).toHaveLength(made.bytes.length);
    }
  });
});

test.each([
  ["nothing", "", "damaged"],
  ["no object", "[]", "damaged"],
  ["of a later version", '{"version":2}', "newer-version"],
  ["with a PCR that there is not", '{"version":1,"pcrs":[24],"public":"","private":""}', "damaged"],
  ["with broken base64", '{"version":1,"pcrs":[],"public":"=","private":""}', "damaged"],
  ["with more in it", '{"version":1,"pcrs":[],"public":"","private":"","x":1}', "damaged"],
])("a file that is %s", (_name, text, why) => {
  expect(parseKeyFile(text)).toMatchObject({ why });
});
