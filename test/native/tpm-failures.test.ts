/** The TPM by the addon when it does not answer, goes away, answers nonsense, or is in use; and wrong arguments. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Swtpm } from "../../scripts/lib/swtpm.ts";
import type { TpmHandle, TpmKey, TpmKeyBlob } from "../../src/lib/native-tpm.ts";
import { ADDON_FILE, Child, loadAddon, openFiles } from "./support.ts";
import {
  AK_TEMPLATES,
  Between,
  EKS,
  MISSING,
  open,
  PCRS,
  quick,
  rejection,
  SRK,
  slow,
  startTpm,
  WHY,
} from "./tpm-support.ts";

const addon = loadAddon();
const TIMEOUT_MS = 300;

describe.skipIf(MISSING !== undefined)(`a software TPM${WHY}`, () => {
  let tpm: Swtpm;
  beforeAll(async () => {
    tpm = await startTpm();
  });
  afterAll(() => tpm[Symbol.asyncDispose]());

  describe("no answer", () => {
    test("ends by the deadline, and the event loop goes on", async () => {
      await using handle = await open(tpm.tcti, TIMEOUT_MS);
      let ticks = 0;
      using _ = setInterval(() => ticks++, TIMEOUT_MS / 20);
      tpm.pause();
      try {
        const start = performance.now();
        const error = await rejection(quick(handle));
        const took = performance.now() - start;
        expect(error).toMatchObject({ code: "ERR_TPM_TIMEOUT", call: "Esys_GetCapability" });
        expect(took).toBeGreaterThanOrEqual(TIMEOUT_MS - 1);
        expect(took).toBeLessThan(TIMEOUT_MS + 2_000);
        expect(ticks).toBeGreaterThan(3);
      } finally {
        tpm.resume();
      }
      // What the TPM says too late is not the answer to the next question.
      const again = performance.now();
      expect(await rejection(quick(handle))).toMatchObject({ code: "ERR_TPM_TIMEOUT" });
      expect(performance.now() - again).toBeLessThan(TIMEOUT_MS);
    });

    test("a retry that never ends is asked for with pauses that grow", async () => {
      await using between = await new Between(tpm, (client) => {
        client.write(RETRY);
        return "answered";
      }).listen();
      await using handle = await open(`swtpm:path=${between.path}`, 1_000);
      expect(await rejection(quick(handle))).toMatchObject({ code: "ERR_TPM_TIMEOUT" });
      // 10 + 20 + 40 + 80 + 160 + 320 + 500 ms
      expect(between.commands).toBeGreaterThan(2);
      expect(between.commands).toBeLessThanOrEqual(8);
    });

    test("a peer that never accepts", async () => {
      await using handles = new AsyncDisposableStack();
      tpm.pause();
      try {
        let error = new Error();
        // Connections wait in a queue of some length.
        for (let i = 0; i < 200 && !("code" in error); i++) {
          error = await rejection(open(tpm.tcti, 50).then((handle) => handles.use(handle)));
        }
        expect(error).toMatchObject({ code: "ERR_TPM_TIMEOUT" });
      } finally {
        tpm.resume();
      }
    });

    test("a retry that ends is not seen", async () => {
      await using between = await new Between(tpm, (client, count) => {
        if (count > 4) return undefined;
        client.write(RETRY);
        return "answered";
      }).listen();
      await using handle = await open(`swtpm:path=${between.path}`);
      expect(await quick(handle)).toBeInstanceOf(Buffer);
      expect(between.commands).toBe(5);
    });
  });

  describe("a TPM that goes away", () => {
    test("while it works, and for good", async () => {
      await using handle = await open(tpm.tcti);
      const pending = rejection(slow(handle));
      await tpm.kill();
      expect(await pending).toMatchObject({ code: "ERR_TPM_GONE" });
      expect(await rejection(quick(handle))).toMatchObject({ code: "ERR_TPM_GONE" });
      expect(await rejection(addon.openTpm(tpm.tcti, TIMEOUT_MS))).toMatchObject({ code: "ECONNREFUSED" });
      await tpm.restart();
      expect(await rejection(quick(handle))).toMatchObject({ code: "ERR_TPM_GONE" });
      await using again = await open(tpm.tcti);
      expect(await quick(again)).toBeInstanceOf(Buffer);
    });

    test.each([
      { what: "too long a size", answer: "80010000200000000000" },
      { what: "too short a size", answer: "80010000000900000000" },
      { what: "more than its size", answer: "80010000000a0000010100" },
    ])("nonsense counts as that: $what", async ({ answer }) => {
      await using between = await new Between(tpm, (client) => {
        client.write(Buffer.from(answer, "hex"));
        return "answered";
      }).listen();
      await using handle = await open(`swtpm:path=${between.path}`);
      expect(await rejection(quick(handle))).toMatchObject({ code: "ERR_TPM_GONE" });
    });

    test("an answer that libtss2 cannot read leaves the handle unusable, and says so", async () => {
      await using between = await new Between(tpm, (client) => {
        client.write(Buffer.from("80010000000a00000000", "hex"));
        return "answered";
      }).listen();
      await using handle = await open(`swtpm:path=${between.path}`);
      expect(await rejection(quick(handle))).toMatchObject({ code: "ERR_TPM", call: "Esys_GetCapability" });
      expect(await rejection(quick(handle))).toMatchObject({ code: "ERR_TPM_GONE" });
    });

    test("an answer in pieces is one", async () => {
      await using between = await new Between(tpm, (client) => {
        // TPM_RC_FAILURE
        void inPieces(client, Buffer.from("80010000000a00000101", "hex"));
        return "answered";
      }).listen();
      await using handle = await open(`swtpm:path=${between.path}`);
      expect(await rejection(quick(handle))).toMatchObject({ code: "ERR_TPM", rc: 0x101 });
    });
  });

  describe("turns", () => {
    test("a second operation is refused while one is under way, and does it no harm", async () => {
      await using handle = await open(tpm.tcti);
      const first = slow(handle);
      expect(await rejection(quick(handle))).toMatchObject({ code: "ERR_TPM_BUSY" });
      await first;
      expect(await quick(handle)).toBeInstanceOf(Buffer);
    });

    test("close waits for the operation under way, may be called again, and is the end", async () => {
      const before = openFiles();
      const handle = await addon.openTpm(tpm.tcti, 10_000);
      const order: string[] = [];
      const first = slow(handle).then(() => order.push("operation"));
      const closes = [1, 2].map(async () => {
        await handle.close();
        order.push("close");
      });
      expect(await rejection(quick(handle))).toMatchObject({ code: "ERR_TPM_CLOSED" });
      await Promise.all([first, ...closes]);
      expect(order).toEqual(["operation", "close", "close"]);
      expect(await rejection(quick(handle))).toMatchObject({ code: "ERR_TPM_CLOSED" });
      await handle.close();
      expect(openFiles()).toBe(before);
      expect(await tpm.loadedHandles()).toEqual({ transient: 0, sessions: 0 });
    });

    test("a worker may end, and a process exit, while an operation is under way", async () => {
      const script = `const { tcti, file, template } = require("worker_threads").workerData;
        require(file).openTpm(tcti, 2000).then((handle) => {
          handle.createAk({ hierarchy: "owner", template, auth: "password" }, template);
          require("worker_threads").parentPort.postMessage("busy");
        });`;
      const template = "template" in SRK ? SRK.template : undefined;
      const worker = new Worker(script, { eval: true, workerData: { tcti: tpm.tcti, file: ADDON_FILE, template } });
      await once(worker, "message");
      await worker.terminate();

      tpm.pause();
      await using child = Child.node(
        `require(process.argv[1]).openTpm(process.argv[2], 200).then((handle) => {
          handle.getCapability(6, 0x100, 1);
          process.exit(7);
        });`,
        [tpm.tcti],
      );
      expect(await child.exit()).toBe(7);
      tpm.resume();
    });

    test("a handle that nobody references is closed", async () => {
      const script = `(async () => {
        const files = () => require("fs").readdirSync("/proc/self/fd").length;
        const addon = require(process.argv[1]);
        await (async () => (await addon.openTpm(process.argv[2], 1000)).close())();
        const before = files();
        await (async () => { await addon.openTpm(process.argv[2], 1000); })();
        const opened = files();
        while (files() > before) { gc(); await new Promise((done) => setTimeout(done, 10)); }
        console.log(opened - before);
      })();`;
      await using child = new Child(process.execPath, ["--expose-gc", "-e", script, "--", ADDON_FILE, tpm.tcti]);
      expect(await child.line()).toBe("1");
    });
  });

  test("what is no argument is refused before the TPM is asked", async () => {
    await using between = await new Between(tpm, () => undefined).listen();
    await using handle = await open(`swtpm:path=${between.path}`);
    const ak: TpmKeyBlob = { public: AK_TEMPLATES.ecc, private: Buffer.alloc(100) };
    const ek = EKS["persistent RSA"] as TpmKey;
    const refused = [
      ["TypeError", () => handle.nvRead(0x81010001)],
      ["TypeError", () => handle.nvRead(0x01c00002 + 0.5)],
      ["TypeError", () => handle.getCapability(-1, 0, 1)],
      ["TypeError", () => handle.getCapability(6, 0, 0)],
      ["TypeError", () => handle.readPublic({ handle: 0x40000001, auth: "password" })],
      ["TypeError", () => handle.readPublic({ handle: 0x81010001, auth: "secret" as "password" })],
      ["TypeError", () => handle.readPublic({ ...SRK, hierarchy: "platform" } as unknown as TpmKey)],
      ["TypeError", () => handle.readPublic(undefined as unknown as TpmKey)],
      ["TypeError", () => handle.pcrRead([1] as unknown as Uint8Array)],
      ["TypeError", () => handle.quote(SRK, null as unknown as TpmKeyBlob, PCRS, PCRS)],
      ["TypeError", () => handle.nvRead.call({} as TpmHandle, 0x01c00002)],
      ["EINVAL", () => handle.pcrRead(new Uint8Array())],
      ["EINVAL", () => handle.pcrRead(Buffer.concat([PCRS, PCRS]))],
      ["EINVAL", () => handle.pcrRead(new Uint8Array(10_000))],
      ["EINVAL", () => handle.createAk(SRK, Buffer.concat([AK_TEMPLATES.ecc, Buffer.alloc(1)]))],
      ["EINVAL", () => handle.quote(SRK, ak, new Uint8Array(67), PCRS)],
      ["EINVAL", () => handle.quote(SRK, { ...ak, private: new Uint8Array(2_000) }, PCRS, PCRS)],
      ["EINVAL", () => handle.activateCredential(SRK, ak, ek, PCRS, Buffer.of(0, 1, 1))],
      ["EINVAL", () => handle.activateCredential(SRK, ak, ek, Buffer.of(0, 1, 1), Buffer.of(0, 2, 1))],
    ] as const;
    for (const [kind, call] of refused) {
      const error = await rejection(call());
      expect(kind === "TypeError" ? error.constructor.name : error.code, String(call)).toBe(kind);
    }
    expect(between.commands).toBe(0);
    expect(await quick(handle)).toBeInstanceOf(Buffer);
  });
});

/** TPM_RC_RETRY. */
const RETRY = Buffer.from("80010000000a00000922", "hex");

async function inPieces(client: { write(bytes: Uint8Array): unknown }, bytes: Uint8Array): Promise<void> {
  for (const byte of bytes) {
    client.write(Uint8Array.of(byte));
    await new Promise(setImmediate);
  }
}
